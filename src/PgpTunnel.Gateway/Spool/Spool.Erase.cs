namespace PgpTunnel;

/// <summary>
/// Takes private parts out of what is on record, and what the records were found by. The records stay as they are: what they say of a
/// private part that is gone tells nobody anything.
/// </summary>
internal sealed partial class Spool
{
    /// <summary>Of a transaction's private parts nothing is left in the file, nor, once readers are done with it, in the log beside it.</summary>
    /// <returns>False while somebody reads what was written over.</returns>
    public async Task<bool> EraseAsync(IReadOnlyList<Erased> erased, OperatorAct act)
    {
        await WriteAsync(statements =>
        {
            statements.Execute("PRAGMA secure_delete = ON");
            foreach (var part in erased)
                Erase(statements, part);
            Insert(statements, act);
            _ledger.AppendErased(statements, act, erased);
        });
        return ForgetWritten();
    }

    private static void Erase(Statements statements, Erased erased)
    {
        var found = statements.Scalar(
            "SELECT number FROM log WHERE own = $own AND peer = $peer AND id = $id AND mirror = 0",
            ("$own", erased.Log.Own),
            ("$peer", erased.Log.Peer),
            ("$id", erased.Log.Id)
        );
        if (found is not long number)
            return;
        var places = erased.Indexes.Select(n => Ledger.Place(number, n)).ToHashSet();
        foreach (var place in places)
        {
            statements.Execute("UPDATE record SET opening = NULL, seal = NULL WHERE place = $place", ("$place", place));
            statements.Execute(
                "UPDATE tag SET tags = $tag WHERE place = $place",
                ("$tag", IdTag(statements, place)),
                ("$place", place)
            );
        }
        var runs = statements.Rows(
            "SELECT place, octets FROM found WHERE place >= $first AND place < $end",
            row => (Place: row.GetInt64(0), Octets: (byte[])row[1]),
            ("$first", Ledger.Place(number, 0)),
            ("$end", Ledger.Place(number + 1, 0))
        );
        foreach (var (place, octets) in runs)
            if (TagRun.Without(place, octets, places, p => IdTag(statements, p)) is { } left)
                statements.Execute(
                    "UPDATE found SET octets = $left WHERE place = $place",
                    ("$left", left),
                    ("$place", place)
                );
    }

    /// <summary>By its id, which is no secret, a record is found for ever.</summary>
    private static byte[] IdTag(Statements statements, long place) =>
        Stored(statements, place).FirstOrDefault()?.Record.Text("id") is { } id && LogEntry.IsId(id)
            ? LogEntry.TagOf(id)
            : [];

    /// <summary>Pages as they were stand in the log of the database until it begins anew.</summary>
    private bool ForgetWritten() => Read(s => s.Rows("PRAGMA wal_checkpoint(TRUNCATE)", row => row.GetInt64(0))) is [0];
}
