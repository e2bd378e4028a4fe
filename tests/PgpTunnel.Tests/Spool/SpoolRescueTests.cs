using Microsoft.Data.Sqlite;

namespace PgpTunnel.Tests;

/// <summary>
/// A spool that was cut short or lost pages anywhere: what SQLite can still read of it, asked for row by row, is what the export has,
/// and the export ends.
/// </summary>
public sealed class SpoolRescueTests : IAsyncLifetime
{
    private const int Parcels = 400,
        PageSize = 8192;

    private static readonly DateTimeOffset Now = new(2026, 9, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly string _directory = Directory.CreateTempSubdirectory("pgptunnel-rescue-").FullName;

    private string File => Path.Combine(_directory, "spool.db");

    private string Rescued => Path.Combine(_directory, "rescued");

    /// <summary>Parcels of all sizes, so that some lie many on a page and some over many pages.</summary>
    public async ValueTask InitializeAsync()
    {
        await using var spool = Spool.Open(File, running: true);
        for (var i = 0; i < Parcels; i++)
            await spool.CommitAsync(
                new()
                {
                    Add =
                    [
                        (
                            SpoolTests.Waiting($"{i:x8}", Now),
                            new ParcelContent(
                                new byte[i % 7 == 0 ? 20_000 : i % 3 * 300 + 1],
                                new byte[200],
                                new byte[100]
                            )
                        ),
                    ],
                    Replay = new ReplayEntry($"{i % 9:x40}", $"{i:x8}", new byte[32], Now.AddDays(1)),
                }
            );
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_directory, true);
        return ValueTask.CompletedTask;
    }

    public static TheoryData<string> Damages =>
        [
            .. Enumerable.Range(1, 12).Select(n => $"cut after {n}/13"),
            .. Enumerable.Range(0, 12).Select(n => $"every 13th page from {n + 1} zeroed"),
            "pages 20-60 zeroed",
            "pages 3-5 noise",
            "two halves noise",
        ];

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task What_can_be_read_is_written_out(string damage)
    {
        Damage(damage);
        var readable = Readable();
        var tables = SpoolRescue.Export(File, Rescued, Stage.Unseen);
        var exported = System
            .IO.File.ReadLines(Path.Combine(Rescued, "parcel.jsonl"))
            .Select(line => System.Text.Json.Nodes.JsonNode.Parse(line)!["id"]!.GetValue<string>())
            .ToList();
        Assert.Equal(readable.Order(), exported.Order());
        Assert.Equal(("parcel", readable.Count), (tables[0].Table, tables[0].Rows));
        Assert.True(readable.Count == Parcels || tables[0].Unreadable > 0, "rows are missing and nothing says so");

        var anew = Path.Combine(_directory, "new.db");
        await Spool.Open(anew, running: true).DisposeAsync();
        SpoolRescue.Import(anew, Rescued, Stage.Unseen);
        await using var spool = Spool.Open(anew, running: true);
        Assert.Equal(readable.Order(), spool.List().Select(p => p.Id).Order());
    }

    [Fact]
    public void A_key_hole_is_gone_round_from_both_ends()
    {
        for (var page = 1; ; page++) // one page after another, until one is a leaf of the replay ids
        {
            var whole = System.IO.File.ReadAllBytes(File);
            Assert.True(page * PageSize < whole.Length, "no page of the file holds replay ids only");
            System.IO.File.WriteAllBytes(
                File,
                [.. whole[..(page * PageSize)], .. new byte[PageSize], .. whole[((page + 1) * PageSize)..]]
            );
            var rescued = $"{Rescued}-{page}";
            var tables = SpoolRescue.Export(File, rescued, Stage.Unseen);
            System.IO.File.WriteAllBytes(File, whole);
            if (tables[0] is not ("parcel", Parcels, 0) || tables[1] is not ("replay", > 0, 1))
                continue;
            Assert.InRange(tables[1].Rows, Parcels - (PageSize / 60), Parcels - 1);
            Assert.Equal(
                tables[1].Rows,
                System.IO.File.ReadLines(Path.Combine(rescued, "replay.jsonl")).Distinct().Count()
            );
            break;
        }
    }

    [Fact]
    public async Task A_row_of_nonsense_is_left_out_and_counted()
    {
        SpoolRescue.Export(File, Rescued, Stage.Unseen);
        var path = Path.Combine(Rescued, "parcel.jsonl");
        var lines = System.IO.File.ReadAllLines(path);
        lines[7] = lines[7].Replace("\"attempts\":0", "\"attempts\":\"nonsense\"", StringComparison.Ordinal);
        System.IO.File.WriteAllLines(path, lines);
        var anew = Path.Combine(_directory, "new.db");
        await Spool.Open(anew, running: true).DisposeAsync();
        Assert.Equal(("parcel", Parcels - 1, 1), SpoolRescue.Import(anew, Rescued, Stage.Unseen)[0]);
    }

    private void Damage(string what)
    {
        var octets = System.IO.File.ReadAllBytes(File);
        var pages = octets.Length / PageSize;
        var words = what.Split(' ');
        void Put(int page, bool noise)
        {
            var at = octets.AsSpan(page * PageSize, PageSize);
            if (noise)
                new Random(page).NextBytes(at);
            else
                at.Clear();
        }

        if (what.StartsWith("cut", StringComparison.Ordinal))
            octets = octets[..(pages * int.Parse(words[2].Split('/')[0]) / 13 * PageSize)];
        else if (what.StartsWith("every", StringComparison.Ordinal))
            for (var page = int.Parse(words[4]); page < pages; page += 13)
                Put(page, noise: false);
        else if (what.StartsWith("pages", StringComparison.Ordinal))
            for (var page = int.Parse(words[1].Split('-')[0]); page <= int.Parse(words[1].Split('-')[1]); page++)
                Put(page, words[2] == "noise");
        else
            for (var page = pages / 4; page < pages; page++)
                if (page < pages / 3 || page > pages / 3 * 2)
                    Put(page, noise: true);
        System.IO.File.WriteAllBytes(File, octets);
    }

    /// <summary>Each row asked for by its number.</summary>
    private List<string> Readable()
    {
        using var connection = new SqliteConnection($"Data Source={File};Pooling=False");
        connection.Open();
        var found = new List<string>();
        for (var number = 0; number <= 2 * Parcels; number++)
        {
            using var command = connection.CreateCommand();
            command.CommandText =
                number == 0 ? "PRAGMA writable_schema=ON" : $"SELECT * FROM parcel WHERE rowid = {number}";
            try
            {
                using var row = command.ExecuteReader();
                if (row.Read())
                    found.Add(row.GetString(0));
            }
            catch (SqliteException)
            {
                // that is what is looked for
            }
        }
        return found;
    }
}
