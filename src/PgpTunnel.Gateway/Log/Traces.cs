using System.Diagnostics;
using System.Globalization;

namespace PgpTunnel;

/// <summary>
/// The way of a message as OpenTelemetry spans: taken, opened, tried, handed over. A trace is a parcel's, its trace id the parcel's id, at
/// both gateways; no address is in it. A span is made when it is over, so that none outlives its step, and none is lost but those of a
/// process that was killed.
/// </summary>
internal static class Traces
{
    public const string SourceName = "PgpTunnel";
    private const int IdDigits = 32,
        SpanDigits = 16;
    private static readonly ActivitySource Source = new(SourceName);

    /// <summary>Somebody listens.</summary>
    public static bool AreWanted => Source.HasListeners();

    /// <summary>One step that is over.</summary>
    /// <param name="parcel">Its id, or one that begins with it.</param>
    /// <param name="failed">What went wrong; null = nothing.</param>
    public static void Span(
        string name,
        ActivityKind kind,
        string parcel,
        (DateTimeOffset From, DateTimeOffset To) time,
        string? failed,
        params ReadOnlySpan<(string Key, object? Value)> tags
    )
    {
        if (!AreWanted || parcel.Length < IdDigits || !parcel.AsSpan(0, IdDigits).ContainsOnlyHex())
            return;
        // All steps have one parent, which follows from the id: it is the same after a restart, and at the other gateway.
        var trace = new ActivityContext(
            ActivityTraceId.CreateFromString(parcel.AsSpan(0, IdDigits)),
            ActivitySpanId.CreateFromString(parcel.AsSpan(IdDigits - SpanDigits, SpanDigits)),
            ActivityTraceFlags.Recorded,
            isRemote: true
        );
        using var span = Source.StartActivity(name, kind, trace, startTime: time.From);
        if (span is null)
            return;
        foreach (var (key, value) in tags)
            if (value is not null)
                span.SetTag($"pgptunnel.{key}", Convert.ToString(value, CultureInfo.InvariantCulture));
        if (failed is not null)
            span.SetStatus(ActivityStatusCode.Error, failed);
        span.SetEndTime(time.To.UtcDateTime);
    }

    private static bool ContainsOnlyHex(this ReadOnlySpan<char> text)
    {
        foreach (var c in text)
            if (!char.IsAsciiHexDigitLower(c))
                return false;
        return true;
    }
}
