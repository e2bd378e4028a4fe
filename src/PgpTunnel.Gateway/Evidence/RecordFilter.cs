namespace PgpTunnel;

/// <summary>What is asked of a message; null = nothing.</summary>
internal sealed record RecordFilter
{
    public string? Id { get; init; }
    public string? MessageId { get; init; }
    public string? From { get; init; }
    public string? To { get; init; }
    public string? Domain { get; init; }
    public string? State { get; init; }
    public DateTimeOffset Since { get; init; }
    public DateTimeOffset Until { get; init; }

    /// <summary>The texts of which a record that is looked for has one in its tags; none = any will do.</summary>
    public IEnumerable<string> Texts =>
        new[]
        {
            MessageId is null ? null : FoundBy.MessageId(MessageId),
            From is null ? null : FoundBy.Address(From),
            To is null ? null : FoundBy.Address(To),
        }.OfType<string>();
}
