using System.Security.Cryptography;
using System.Text;
using PgpTunnel.Evidence;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>What is taken out of what is on record is gone, wherever it lay.</summary>
public sealed class EraseTests : IDisposable
{
    private const string Receipts = "\"receipts\": { \"every\": \"00:01:00\" }";
    private readonly string _folder = Directory.CreateTempSubdirectory("pgptunnel-erase-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static Task EraseAsync(Spool spool, IReadOnlyList<Erased> parts) =>
        new Acts(spool, TimeProvider.System, "me", "asked for it").EraseAsync(parts);

    [Fact]
    public async Task What_the_partner_told_of_a_person_goes_too()
    {
        await using var pair = await Pair.CreateAsync(Receipts, Receipts);
        pair.B.LocalAnswer = _ => new SmtpReply(550, "5.1.1", "<bob@b.example>: Recipient address rejected");
        await pair.A.SendAsync(
            "<alice@a.example>",
            ["<bob@b.example>"],
            "Subject: x\r\nMessage-ID: <1@a.example>\r\n\r\nx\r\n"
        );
        await using var spool = Spool.Open(pair.A.Configuration.SpoolFile, running: false);
        // With the keys of now.
        IReadOnlyList<Erased> Named() =>
            new PersonSearch(spool, new RecordSearch(pair.A.Configuration, spool))
                .Find("bob@b.example", Stage.Unseen)
                .Parts;
        await Wait.UntilAsync(
            () =>
            {
                pair.World.Time.Advance(TimeSpan.FromSeconds(61));
                return Named().Any(p => p.Log.Own == "b.example");
            },
            () => $"{pair.A.Log}\n{pair.B.Log}"
        );
        var named = Named();
        await EraseAsync(spool, named);
        Assert.Empty(Named());
        Assert.NotEmpty(spool.Mirrors("b.example", "a.example").SelectMany(l => spool.Records(l.Number, l.Start.Size)));
        // Both are told of in our log about that domain; none of ours begins under another's name.
        var ours = spool.Logs().Where(l => !l.IsMirror).ToList();
        Assert.All(ours, l => Assert.Equal("a.example", l.Origin.Own));
        Assert.Equal(
            named.Select(p => p.Log.ToString()).Order(),
            ours.SelectMany(l => spool.Records(l.Number))
                .Where(r => r.Record.Event == "operator")
                .Select(r => r.Record.Text("log"))
                .Order()
        );
    }

    /// <summary>With several logs at a time SQLite moves rows from page to page, and leaves copies behind.</summary>
    [Fact]
    public async Task Nothing_is_left_in_free_space_of_pages()
    {
        const int logs = 40,
            entries = 12_000;
        var (file, wrapped) = (Path.Combine(_folder, "spool.db"), RandomNumberGenerator.GetBytes(100));
        List<byte[]> openings;
        await using (var spool = Spool.Open(file, running: false))
        {
            for (var n = 0; n < entries; n += 10)
                await spool.CommitAsync(new() { Entries = [.. Enumerable.Range(0, 10).Select(_ => Entry(wrapped))] });
            var erased = spool.Logs().Select(l => new Erased(l.Origin, Tenth(l.Edge.Size))).ToList();
            openings =
            [
                .. spool
                    .Logs()
                    .Zip(erased)
                    .SelectMany(p => p.Second.Indexes.Select(n => spool.Record(p.First.Number, n)!.Opening![100..])),
            ];
            await EraseAsync(spool, erased);
            Assert.NotEmpty(Left()); // else this test shows nothing
            Assert.Null(SpoolSweep.Sweep(file, keepFree: 0));
            Assert.Empty(Left());
            // The gateway that had it open goes on.
            await spool.CommitAsync(new() { Entries = [Entry(wrapped)] });
            Assert.Equal([], SpoolRescue.Check(file));
        }

        static List<long> Tenth(long size) =>
            [.. Enumerable.Range(1, (int)size - 1).Where(i => i % 10 == 3).Select(i => (long)i)];

        static LogEntry Entry(byte[] wrapped) =>
            new(
                "a.example",
                $"p{RandomNumberGenerator.GetInt32(logs)}.example",
                DateTimeOffset.UnixEpoch,
                new Draft(
                    "sealed",
                    ("id", RandomNumberGenerator.GetHexString(32, lowercase: true)),
                    ("open", RandomNumberGenerator.GetHexString(600))
                )
            )
            {
                Opening = new(
                    "2026-10",
                    new ArchivedOctets(
                        wrapped,
                        RandomNumberGenerator.GetBytes(RandomNumberGenerator.GetInt32(400, 2000))
                    )
                ),
                Tags = RandomNumberGenerator.GetBytes(40),
            };

        List<byte[]> Left()
        {
            var octets = Directory.EnumerateFiles(_folder, "spool.db*").Select(Read).ToList();
            return openings.FindAll(o => octets.Exists(f => f.AsSpan().IndexOf(o) >= 0));
        }
    }

    private static byte[] Read(string file)
    {
        using var shared = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var copy = new MemoryStream();
        shared.CopyTo(copy);
        return copy.ToArray();
    }

    [Fact]
    public async Task Many_go_in_steps_each_of_which_has_its_record()
    {
        await using var spool = Spool.Open(Path.Combine(_folder, "spool.db"), running: false);
        await spool.CommitAsync(
            new() { Entries = [new("a.example", "b.example", DateTimeOffset.UnixEpoch, new Draft("x"))] }
        );
        var log = spool.Logs().Single();
        await EraseAsync(
            spool,
            [new(log.Origin, [.. Enumerable.Range(0, 2 * Ledger.MostIndexes + 1).Select(i => uint.MaxValue - (long)i)])]
        );
        var records = spool.Records(log.Number).Where(r => r.Record.Event == "operator").Select(r => r.Record).ToList();
        Assert.Equal(3, records.Count);
        Assert.All(records, r => Assert.True(r.Octets.Length < PgpTunnel.Evidence.Record.Largest));
        Assert.Single(spool.Acts());
    }

    [Fact]
    public void The_list_is_whole_or_as_it_was()
    {
        var (one, other) = (LogOrigin.New("a.example", "b.example"), LogOrigin.New("a.example", "c.example"));
        ErasedFile.Write(_folder, [new(one, [3, 1]), new(other, [7])]);
        ErasedFile.Write(_folder, ErasedFile.Union(ErasedFile.Read(ErasedFile.PathOf(_folder)), [new(one, [1, 2])]));
        Assert.Equal($"{one} 1\n{one} 2\n{one} 3\n{other} 7\n", File.ReadAllText(ErasedFile.PathOf(_folder)));
    }
}
