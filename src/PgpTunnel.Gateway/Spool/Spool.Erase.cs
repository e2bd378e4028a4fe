namespace PgpTunnel;

/// <summary>
/// Takes private parts out of what is on record, and what the records were found by. The records stay as they are: what they say of a
/// private part that is gone tells nobody anything.
/// </summary>
internal sealed partial class Spool
{
    /// <summary>
    /// In steps, between which mail goes on; each has its record. What the file still has of them in its free space is
    /// <see cref="SpoolSweep"/>'s.
    /// </summary>
    public async Task EraseAsync(IReadOnlyList<Erased> erased, OperatorAct act)
    {
        await WriteAsync(statements => Insert(statements, act));
        foreach (
            var part in erased.SelectMany(e => e.Indexes.Chunk(Ledger.MostIndexes).Select(i => e with { Indexes = i }))
        )
            await WriteAsync(statements =>
            {
                if (Erase(statements, part))
                    _ledger.AppendErased(statements, act, part);
            });
    }

    private static bool Erase(Statements statements, Erased erased)
    {
        var found = statements.Scalar(
            "SELECT number FROM log WHERE own = $own AND peer = $peer AND id = $id",
            ("$own", erased.Log.Own),
            ("$peer", erased.Log.Peer),
            ("$id", erased.Log.Id)
        );
        if (found is not long number)
            return false;
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
            "SELECT place, octets FROM found WHERE place >= $first AND place <= $last",
            row => (Place: row.GetInt64(0), Octets: (byte[])row[1]),
            ("$first", places.Min() - TagRun.Reach),
            ("$last", places.Max())
        );
        foreach (var (place, octets) in runs)
            if (TagRun.Without(place, octets, places, p => IdTag(statements, p)) is { } left)
                statements.Execute(
                    "UPDATE found SET octets = $left WHERE place = $place",
                    ("$left", left),
                    ("$place", place)
                );
        return true;
    }

    /// <summary>By its id, which is no secret, a record is found for ever.</summary>
    private static byte[] IdTag(Statements statements, long place) =>
        Stored(statements, place).FirstOrDefault()?.Record.Text("id") is { } id && LogEntry.IsId(id)
            ? LogEntry.TagOf(id)
            : [];
}
