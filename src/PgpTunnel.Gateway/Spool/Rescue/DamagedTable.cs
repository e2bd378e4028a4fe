using System.Text.Json.Nodes;
using Microsoft.Data.Sqlite;

namespace PgpTunnel;

/// <summary>
/// A table of a database that may be damaged, row by row, past what cannot be read. Rows come as JSON: numbers, text, and octets as
/// <c>{"base64": …}</c>.
/// </summary>
/// <param name="table">One of our schema; its name goes into statements as it is.</param>
internal sealed class DamagedTable(SqliteConnection connection, string table)
{
    /// <summary>
    /// How fine the search for the end of a hole is: what is readable within it may be missed when it is shorter than this part of the
    /// way into it.
    /// </summary>
    private const int Grain = 64;

    private static readonly JsonObject End = [];

    /// <summary>Places that could not be read, each of one row or of many.</summary>
    public int Unreadable { get; private set; }

    /// <summary>The rows of a table whose rows are numbered: it goes on behind each hole, however many there are.</summary>
    public IEnumerable<JsonObject> Numbered()
    {
        // Not "> the last": that would look for the last one first, on a page that may be the damaged one.
        using var command = Command($"SELECT rowid, * FROM {table} WHERE rowid >= $from ORDER BY rowid LIMIT 1");
        var parameter = command.Parameters.Add("$from", SqliteType.Integer);
        for (long? from = 1; from is { } number; )
            if (From(number) is not { } place)
            {
                Unreadable++;
                from = EndOfHole(number, n => From(n) is not null);
            }
            else if (place.Row is { } row)
            {
                yield return row;
                from = place.Number + 1;
            }
            else
                yield break;

        Place? From(long number) =>
            OrNull(() =>
            {
                parameter.Value = number;
                using var row = command.ExecuteReader();
                return row.Read() ? new Place(AsJson(row, 1), row.GetInt64(0)) : new Place(null, number);
            });
    }

    /// <param name="Row">null: there is none any more.</param>
    private sealed record Place(JsonObject? Row, long Number);

    /// <summary>
    /// The first number from which on the table can be read again. Steps grow with the way behind them, so a hole of n rows costs some
    /// <see cref="Grain"/> · ln n looks, and one that has no end is left after less than three thousand.
    /// </summary>
    /// <returns>null when there is none.</returns>
    private static long? EndOfHole(long start, Func<long, bool> isReadable)
    {
        var (unreadable, readable) = (start, start + 1);
        while (!isReadable(readable))
        {
            var step = 1 + ((readable - start) / Grain);
            if (readable > long.MaxValue - step)
                return null;
            (unreadable, readable) = (readable, readable + step);
        }
        while (readable - unreadable > 1)
        {
            var middle = unreadable + ((readable - unreadable) / 2);
            (unreadable, readable) = isReadable(middle) ? (unreadable, middle) : (middle, readable);
        }
        return readable;
    }

    /// <summary>The rows of a table that is ordered by columns of text: from its start to a hole, and from its end back to one.</summary>
    public IEnumerable<JsonObject> Keyed(IReadOnlyList<string> key)
    {
        var (holes, seen) = (0, new HashSet<string>());
        foreach (var row in InOrder(string.Join(", ", key), () => holes++))
        {
            seen.Add(Key(row));
            yield return row;
        }
        if (holes == 0)
            yield break;
        Unreadable++;
        foreach (
            var row in InOrder(string.Join(" DESC, ", key) + " DESC", () => holes++)
                .TakeWhile(row => !seen.Contains(Key(row)))
        )
            yield return row;

        string Key(JsonObject row) => string.Join('\n', key.Select(column => row[column]));
    }

    private IEnumerable<JsonObject> InOrder(string columns, Action hole)
    {
        using var command = Command($"SELECT * FROM {table} ORDER BY {columns}");
        using var rows = OrNull(command.ExecuteReader);
        while (rows is not null && OrNull(() => rows.Read() ? AsJson(rows, 0) : End) is { } row)
        {
            if (row == End)
                yield break;
            yield return row;
        }
        hole();
    }

    private SqliteCommand Command(string text)
    {
        var command = connection.CreateCommand();
#pragma warning disable CA2100 // table and columns are of our schema
        command.CommandText = text;
#pragma warning restore CA2100
        return command;
    }

    private static T? OrNull<T>(Func<T> read)
        where T : class
    {
        try
        {
            return read();
        }
        catch (SqliteException)
        {
            return null;
        }
    }

    private static JsonObject AsJson(SqliteDataReader row, int from)
    {
        var json = new JsonObject();
        for (var i = from; i < row.FieldCount; i++)
            json[row.GetName(i)] = row.GetValue(i) switch
            {
                byte[] octets => AsJson(octets),
                long number => number,
                string text => text,
                _ => null,
            };
        return json;
    }

    public static JsonObject AsJson(byte[] octets) => new() { ["base64"] = Convert.ToBase64String(octets) };
}
