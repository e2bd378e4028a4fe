using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>What servers said to a parcel's recipients.</summary>
/// <param name="To">Those that were open.</param>
/// <param name="Replies">One for each of them, in order.</param>
internal sealed record Answered(
    Parcel Parcel,
    InnerHeader Header,
    ReadOnlyMemory<byte> Message,
    List<ForwardPath> To,
    IReadOnlyList<SmtpReply> Replies
)
{
    /// <summary>All that were open have had the same answer.</summary>
    public static Answered Alike(Parcel parcel, InnerHeader header, ReadOnlyMemory<byte> message, SmtpReply reply)
    {
        var open = Unsettled(parcel, header);
        return new(parcel, header, message, open, [.. open.Select(_ => reply)]);
    }

    /// <summary>Recipients that are not settled yet.</summary>
    public static List<ForwardPath> Unsettled(Parcel parcel, InnerHeader header) =>
        [.. header.RcptTo.Where((_, i) => !parcel.Done.Contains(i))];

    public IReadOnlyList<(ForwardPath To, SmtpReply Reply)> Failed { get; } =
    [.. To.Zip(Replies).Where(r => r.Second.IsPermanent)];

    /// <summary>Some must be tried again; what is told of it.</summary>
    public SmtpReply? Later => Replies.FirstOrDefault(r => r.IsTemporary);

    /// <summary>Indexes of recipients that have it, now or before.</summary>
    public HashSet<int> Have => Indexes(r => r.IsPositive);

    /// <summary>Indexes of recipients that have it or never will.</summary>
    public HashSet<int> Settled => Indexes(r => !r.IsTemporary);

    /// <summary>The answers to those whose index is given and who were open.</summary>
    public IReadOnlyList<(int Index, SmtpReply Reply)> Of(IReadOnlySet<int> indexes) =>
        [.. indexes.Except(Parcel.Done).Order().Select(i => (i, Replies[To.IndexOf(Header.RcptTo[i])]))];

    private HashSet<int> Indexes(Func<SmtpReply, bool> which)
    {
        var indexes = new HashSet<int>(Parcel.Done);
        for (var i = 0; i < Header.RcptTo.Count; i++)
            if (To.IndexOf(Header.RcptTo[i]) is var at and >= 0 && which(Replies[at]))
                indexes.Add(i);
        return indexes;
    }
}
