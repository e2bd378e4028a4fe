namespace PgpTunnel.Evidence;

/// <summary>What became of a message, by both sides' records.</summary>
public sealed partial class BundleVerification
{
    private const string CrossedSealed = " crossed sealed between the two gateways";

    /// <summary>What the records of both sides say of each message together.</summary>
    private void CheckStory(List<Signed> logs)
    {
        var told = logs.SelectMany(l =>
                l.Log.Records.Where(r => r.StandsIn(l.Log.Head)).Select(r => (Log: l, r.Record))
            )
            .Where(t => t.Record.Text("id") is not null)
            .ToLookup(t => t.Record.Text("id")!);
        foreach (var message in told)
        {
            var made = message.FirstOrDefault(t => t.Record.Event == "sealed");
            var opened = Received(message, made, "opened");
            var outcome = Received(message, made, "outcome");
            // Who says what became of it has opened it.
            _statements.Add(Crossing(message.Key, made, opened.Record is null ? outcome : opened));
            _statements.Add(BecameOf(message.Key, made, opened, outcome));
            foreach (var (log, record) in message.Where(t => t.Record.Event == "clear"))
                _statements.Add(
                    Statement.Claimed($"{message.Key} went in clear: {record.Text("why")}", log.Key.Fingerprint)
                );
        }
    }

    /// <summary>
    /// The record of the receiving side: anybody can write into a log of his own that he has opened a message, so where the sealing is
    /// known it is the last of that side, if there is one.
    /// </summary>
    private static (Signed Log, Record Record) Received(
        IEnumerable<(Signed Log, Record Record)> told,
        (Signed Log, Record Record) made,
        string ev
    )
    {
        var all = told.Where(t => t.Record.Event == ev).ToList();
        var others = made.Record is null ? all : all.FindAll(t => AreTwoSides(made.Log, t.Log));
        return others.Count > 0 ? others[^1] : all.LastOrDefault();
    }

    /// <summary>Proved when it is the word of who has opened the octets that were sealed.</summary>
    private static Statement BecameOf(
        string id,
        (Signed Log, Record Record) made,
        (Signed Log, Record Record) opened,
        (Signed Log, Record Record) outcome
    )
    {
        if (outcome.Record is null)
            return Statement.NotCovered(
                $"what became of {id} at the recipients' mail server",
                "no record of the receiving gateway is in the bundle"
            );
        var what = $"what the receiving gateway says became of {id}: {Outcome(outcome.Record)}";
        var by = outcome.Log.Key.Fingerprint;
        if (!outcome.Log.IsItsOwners)
            return Statement.Claimed(what, by, "whose key that is no signed DNS in the bundle says");
        var (before, isItsOwn) = made.Record is null
            ? (opened, opened.Record is not null && opened.Log.Origin.Own == outcome.Log.Origin.Own)
            : (made, AreTwoSides(made.Log, outcome.Log));
        if (!isItsOwn && made.Record is not null && AreEachOthers(made.Log, outcome.Log))
            return Statement.Claimed(what, by, "whose key sealed it that is no signed DNS in the bundle says");
        if (!isItsOwn)
            return Statement.Claimed(
                what,
                by,
                $"{outcome.Log.Origin.Own} is not who it was sealed for, by what is in the bundle"
            );
        return before.Record.Text("lit") is { } lit && lit == outcome.Record.Text("lit")
            ? Statement.Proved(what, by)
            : Statement.Contradicted(what, "it is about other octets");
    }

    /// <summary>Sealed by one side and opened by the other: proved when the records of both name the same octets.</summary>
    private static Statement Crossing(string id, (Signed Log, Record Record) made, (Signed Log, Record Record) opened)
    {
        var what = id + CrossedSealed;
        if (made.Record is null && opened.Record is null)
            return Statement.NotCovered(what, "no record of sealing or opening it is in the bundle");
        if (made.Record is null)
            return Statement.Claimed(what, opened.Log.Key.Fingerprint, "by the record of the receiving gateway alone");
        if (opened.Record is null)
            return Statement.Claimed(what, made.Log.Key.Fingerprint, "by the record of the sending gateway alone");
        if (!AreTwoSides(made.Log, opened.Log))
            return Statement.Claimed(
                what,
                made.Log.Key.Fingerprint,
                "that the two logs are those of two companies no signed DNS in the bundle says"
            );
        return made.Record.Text("lit") is { } lit && lit == opened.Record.Text("lit")
            ? Statement.Proved(what, opened.Log.Key.Fingerprint, why: $"both sides name the same octets, {lit}")
            : Statement.Contradicted(what, "the two sides name different octets");
    }

    /// <summary>Each is about the other, and each is signed by a key that is its own domain's.</summary>
    private static bool AreTwoSides(Signed sender, Signed receiver) =>
        sender.IsItsOwners
        && receiver.IsItsOwners
        && sender.Key.Fingerprint != receiver.Key.Fingerprint
        && AreEachOthers(sender, receiver);

    private static bool AreEachOthers(Signed sender, Signed receiver) =>
        sender.Origin.Own == receiver.Origin.Peer && sender.Origin.Peer == receiver.Origin.Own;

    private static string Outcome(Record outcome) =>
        outcome.Fields.FirstOrDefault(f => f.Name == "to").Value
            is { ValueKind: System.Text.Json.JsonValueKind.Array } to
            ? to.GetRawText()
            : "nothing";
}
