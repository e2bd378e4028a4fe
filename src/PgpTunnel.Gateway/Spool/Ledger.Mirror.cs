using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>Logs of peers, as far as receipts have brought them.</summary>
internal sealed partial class Ledger
{
    /// <returns>False when what is held of that log does not reach to where the tail begins, or reaches further.</returns>
    public bool Mirror(Statements statements, MirroredTail mirror)
    {
        var (tail, origin) = (mirror.Tail, mirror.Tail.Head.Origin);
        var found = statements.Rows(
            "SELECT number, size, edge FROM log WHERE own = $own AND peer = $peer AND mirror = 1 AND id = $id",
            row => (Number: row.GetInt64(0), Edge: TreeEdge.Read(row.GetInt64(1), (byte[])row[2])),
            ("$own", origin.Own),
            ("$peer", origin.Peer),
            ("$id", origin.Id)
        );
        if (found is [var held] && held.Edge?.Size != tail.From + mirror.Held)
            return false;
        if (found.Count == 0 && mirror.Held != 0)
            return false;
        var (number, edge) = found is [var known]
            ? (known.Number, known.Edge!)
            : (NewMirror(statements, tail, mirror.At), tail.Edge.Copy());
        foreach (var record in mirror.Records)
            Append(statements, (number, edge), record);
        statements.Execute(
            "UPDATE log SET size = $size, edge = $edge WHERE number = $number",
            ("$number", number),
            ("$size", edge.Size),
            ("$edge", edge.Write())
        );
        return true;
    }

    private static long NewMirror(Statements statements, LogTail tail, DateTimeOffset at) =>
        (long)
            statements.Scalar(
                $"""
                INSERT INTO log(number, own, peer, id, closed, size, edge, at, mirror, first, start)
                    VALUES(({HighestLog}) + 1, $own, $peer, $id, 1, 0, x'', $at, 1, $first, $start) RETURNING number
                """,
                ("$own", tail.Head.Origin.Own),
                ("$peer", tail.Head.Origin.Peer),
                ("$id", tail.Head.Origin.Id),
                ("$at", at.ToUnixTimeMilliseconds()),
                ("$first", tail.From),
                ("$start", tail.Edge.Write())
            )!;
}
