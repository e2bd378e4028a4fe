using PgpTunnel.Evidence;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>What goes on record of receipts.</summary>
internal sealed partial class Witness
{
    /// <summary>More of a peer's log is held.</summary>
    /// <param name="head">As it is held now.</param>
    /// <param name="outcomes">How many outcomes came with it.</param>
    public IReadOnlyList<LogEntry> Receipt(string own, string peer, WitnessedHead head, int outcomes) =>
        Keeps
            ?
            [
                Entry(
                    own,
                    peer,
                    null,
                    new(
                        "receipt",
                        ("log", head.Head.Origin.ToString()),
                        ("size", head.Head.Size),
                        ("root", head.Head.Root),
                        ("outcomes", outcomes),
                        ("cert", head.Cert.Length > 0 ? head.Cert : null),
                        ("dns", head.Dns.Length > 0 ? head.Dns : null)
                    )
                ),
            ]
            : [];

    /// <summary>A receipt that should have come has not.</summary>
    public IReadOnlyList<LogEntry> Overdue(Parcel parcel) =>
        About(parcel, "overdue", ("domain", parcel.Domain), ("why", "no receipt"));

    /// <summary>The same octets are on their way again.</summary>
    public IReadOnlyList<LogEntry> Resent(Parcel parcel, SmtpReply reply) =>
        About(parcel, "resent", ("host", reply.Server), ("code", Codes(reply)), ("tls", reply.Tls));

    /// <param name="kept">Names of what is kept as proof.</param>
    public IReadOnlyList<LogEntry> Alarm(
        string own,
        string peer,
        string what,
        string why,
        IReadOnlyList<string> kept
    ) =>
        Keeps
            ?
            [
                Entry(
                    own,
                    peer,
                    null,
                    new("alarm", ("what", what), ("why", MessageText.OneLine(why, MostWhy)), ("kept", kept))
                ),
            ]
            : [];

    /// <summary>A receipt says what cannot be. It is the private part of the record: what servers have said may name people.</summary>
    public IReadOnlyList<LogEntry> Mismatch(string own, string peer, string why, byte[] receipt)
    {
        if (!Keeps)
            return [];
        var hidden = new Private(RecordOpening.Write([("receipt", receipt)]), []);
        var draft = new Draft(
            "alarm",
            ("what", "receipt-mismatch"),
            ("why", MessageText.OneLine(why, MostWhy)),
            ("open", hidden.Commitment)
        );
        return [Entry(own, peer, null, draft, hidden)];
    }

    /// <summary>What is kept of a record of a peer's log: sealed as ours are, and found by the parcel's id.</summary>
    public KeptRecord Kept(TailItem item) =>
        new(
            item.Leaf,
            item.Record?.Octets ?? item.Leaf,
            item.Opening is { } opening ? keys.Current(time.GetUtcNow()).Seal(opening.Octets) : null,
            item.Record?.Text("id") is { } id && LogEntry.IsId(id) ? LogEntry.TagOf(id) : []
        );
}
