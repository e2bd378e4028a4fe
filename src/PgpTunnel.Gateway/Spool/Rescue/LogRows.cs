using System.Text.Json.Nodes;
using Microsoft.Data.Sqlite;

namespace PgpTunnel;

/// <summary>
/// The numbers of logs and seals that are read into a spool which has its own. A log that comes so is closed: whether all that was signed
/// of it is there nobody knows, so the next record about its domains begins another.
/// </summary>
internal sealed class LogRows(SqliteConnection connection, SqliteTransaction transaction)
{
    private const int IndexBits = 32;

    private readonly Dictionary<long, long> _logs = [],
        _seals = [];

    /// <summary>Puts the numbers that this spool has for them into a row.</summary>
    /// <exception cref="FormatException">It has none.</exception>
    public void Renumber(string table, JsonObject row)
    {
        switch (table)
        {
            case "log":
                var (own, peer, id) = (Text(row, "own"), Text(row, "peer"), Text(row, "id"));
                row["number"] = Known(
                    _logs,
                    Number(row, "number"),
                    () =>
                        Find(
                            "UPDATE log SET closed = 1 WHERE own = $0 AND peer = $1 AND id = $2 RETURNING number",
                            own,
                            peer,
                            id
                        ) ?? NextLog()
                );
                row["closed"] = 1L;
                break;
            case "seal":
                var wrapped = Convert.FromBase64String(
                    row["wrapped"] is JsonObject octets
                        ? Text(octets, "base64")
                        : throw new FormatException("a row has no octets 'wrapped'")
                );
                row["number"] = Known(
                    _seals,
                    Number(row, "number"),
                    () => Find("SELECT number FROM seal WHERE wrapped = $0", wrapped) ?? NextSeal()
                );
                break;
            case "record" or "tag" or "found" or "block":
                var place = Number(row, "place");
                var log = Known(_logs, place >> IndexBits, NextLog);
                row["place"] = Ledger.Place(log, place & ((1L << IndexBits) - 1));
                if (row["seal"] is not null)
                    row["seal"] = Known(_seals, Number(row, "seal"), NextSeal);
                break;
        }
    }

    private static long Known(Dictionary<long, long> numbers, long number, Func<long> make) =>
        numbers.TryGetValue(number, out var known) ? known : numbers[number] = make();

    /// <summary>Above all that are there, and all that were given out here.</summary>
    private long NextLog() => Math.Max(Find(Ledger.HighestLog) ?? 0, _logs.Values.DefaultIfEmpty(0).Max()) + 1;

    private long NextSeal() =>
        Math.Max(Find("SELECT max(number) FROM seal") ?? 0, _seals.Values.DefaultIfEmpty(0).Max()) + 1;

    private long? Find(string sql, params object[] values)
    {
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
#pragma warning disable CA2100 // constants
        command.CommandText = sql;
#pragma warning restore CA2100
        for (var i = 0; i < values.Length; i++)
            command.Parameters.AddWithValue($"${i}", values[i]);
        return command.ExecuteScalar() as long?;
    }

    private static long Number(JsonObject row, string name) =>
        row[name] is JsonValue value && value.TryGetValue(out long number)
            ? number
            : throw new FormatException($"a row has no number '{name}'");

    private static string Text(JsonObject row, string name) =>
        row[name] is JsonValue value && value.TryGetValue(out string? text)
            ? text
            : throw new FormatException($"a row has no text '{name}'");
}
