using System.Collections.Concurrent;
using System.Diagnostics;

namespace PgpTunnel.Tests;

/// <summary>One trace a message, through both gateways.</summary>
public sealed class TracesTests : IDisposable
{
    private readonly ConcurrentBag<Activity> _spans = [];
    private readonly ActivityListener _listener;

    public TracesTests()
    {
        _listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == Traces.SourceName,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = _spans.Add,
        };
        ActivitySource.AddActivityListener(_listener);
    }

    public void Dispose() => _listener.Dispose();

    [Fact]
    public async Task A_message_is_one_trace_by_its_parcel_s_id_and_names_nobody()
    {
        await using var pair = await Pair.CreateAsync();
        var reply = (await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], "Subject: s\r\n\r\nbody\r\n"))[0];
        await pair.B.WaitAsync(1);
        var id = reply.Text.Split(' ')[0];
        List<Activity> Own() => [.. _spans.Where(s => s.TraceId.ToHexString() == id)];
        await Wait.UntilAsync(
            () => Own().Count(s => s.OperationName == "attempt") == 2,
            () => string.Join(", ", Own().Select(s => s.OperationName))
        );
        Assert.Equal(
            ["attempt", "attempt", "hand over", "hand over", "open", "seal"],
            Own().Select(s => s.OperationName).Order()
        );
        Assert.Single(Own().Select(s => s.ParentSpanId).Distinct());
        Assert.All(Own(), s => Assert.Equal(ActivityStatusCode.Unset, s.Status));
        Assert.DoesNotContain(Own().SelectMany(s => s.Tags), t => t.Value?.Contains('@') ?? false);
    }

    [Fact]
    public async Task What_fails_says_so_by_its_status_alone()
    {
        await using var pair = await Pair.CreateAsync();
        pair.HopAnswer = _ => new Smtp.SmtpReply(451, "4.3.2", "not now, bob@b.example");
        var reply = (await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], "Subject: s\r\n\r\nbody\r\n"))[0];
        var id = reply.Text.Split(' ')[0];
        await Wait.UntilAsync(
            () => _spans.Any(s => s.TraceId.ToHexString() == id && Failed(s)),
            () => $"{_spans.Count}"
        );
        var failed = _spans.First(s => s.TraceId.ToHexString() == id && Failed(s));
        Assert.Equal(("hand over", "4.3.2"), (failed.OperationName, failed.StatusDescription));
        Assert.DoesNotContain(failed.Tags, t => t.Value?.Contains('@') ?? false);
    }

    private static bool Failed(Activity span) => span.Status == ActivityStatusCode.Error;
}
