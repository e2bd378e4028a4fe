using System.Security.Cryptography;
using System.Text;
using PgpTunnel.Dns;
using PgpTunnel.Evidence;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;
using Record = PgpTunnel.Evidence.Record;

namespace PgpTunnel.Tests;

/// <summary>What happens to mail is on record at both gateways, in the order in which it happened, and nothing private in clear.</summary>
public sealed class OnRecordTests : IAsyncLifetime
{
    private const string Message =
        "From: alice@a.example\r\nTo: bob@b.example\r\nSubject: CANARY\r\nMessage-ID: <1@a.example>\r\n\r\nbody\r\n";

    private Pair _pair = null!;

    public async ValueTask InitializeAsync() => _pair = await Pair.CreateAsync();

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    private Task<IReadOnlyList<SmtpReply>> SendAsync(string to = "<bob@b.example>") =>
        _pair.A.SendAsync("<alice@a.example>", [to, "<carol@b.example>"], Message);

    /// <summary>The records of a company's log about another, once there are so many.</summary>
    internal static async Task<List<StoredRecord>> RecordsAsync(Company company, string peer, int count)
    {
        await using var spool = Spool.Open(company.Configuration.SpoolFile, running: false);
        await Wait.UntilAsync(
            () => spool.Logs().Any(l => !l.IsClosed && l.Origin.Peer == peer && l.Edge.Size >= count),
            () => company.Log.ToString()
        );
        var log = spool.Logs().Single(l => l.Origin.Peer == peer && !l.IsClosed);
        var records = Enumerable.Range(0, (int)log.Edge.Size).Select(n => spool.Record(log.Number, n)!).ToList();
        // Whoever has the records comes to the same head.
        var edge = new TreeEdge();
        records.ForEach(r => edge.Append(r.Record.LeafHash));
        Assert.Equal(log.Edge.Root(), edge.Root());
        Assert.Equal(Enumerable.Range(0, records.Count).Select(n => (long)n), records.Select(r => r.Record.N));
        return records;
    }

    private static string Events(IEnumerable<StoredRecord> records) =>
        string.Join(' ', records.Select(r => r.Record.Event));

    [Fact]
    public async Task A_message_that_crosses_is_on_record_on_both_sides()
    {
        await SendAsync();
        await _pair.B.WaitAsync(1);
        var (a, b) = (await RecordsAsync(_pair.A, "b.example", 3), await RecordsAsync(_pair.B, "a.example", 3));
        Assert.Equal("begin sealed handed", Events(a));
        Assert.Equal("begin opened outcome", Events(b));
        var (made, opened, outcome) = (a[1].Record, b[1].Record, b[2].Record);
        foreach (var name in new[] { "id", "lit", "octets", "rcpts", "key", "sub", "signer" })
            Assert.Equal(Field(made, name), Field(opened, name));
        Assert.Equal(Field(made, "lit"), Field(outcome, "lit"));
        Assert.Equal(Field(made, "id"), Field(a[2].Record, "id"));
        Assert.Equal("""[[0,"relayed","2.0.0"],[1,"relayed","2.0.0"]]""", Field(outcome, "to"));
        Assert.Equal("1", Field(outcome, "final"));
        Assert.Equal("250", Field(a[2].Record, "code")[..3]);
    }

    private static string Field(Record record, string name) =>
        record.Fields.Single(f => f.Name == name).Value.ToString();

    [Fact]
    public async Task With_its_private_part_the_signed_octets_are_put_together_again()
    {
        await SendAsync();
        var seen = Assert.Single(await _pair.B.WaitAsync(1));
        var b = await RecordsAsync(_pair.B, "a.example", 3);
        await using var spool = Spool.Open(_pair.B.Configuration.SpoolFile, running: false);
        var opening = new RecordSearch(_pair.B.Configuration, spool).Open(b[1])!;
        var fields = opening.Fields.ToDictionary(f => f.Name, f => f.Value);
        Assert.Equal("alice@a.example", fields["from"].GetString());
        Assert.Equal(["bob@b.example", "carol@b.example"], fields["to"].EnumerateArray().Select(t => t.GetString()));
        Assert.Equal("<1@a.example>", fields["msgid"].GetString());
        byte[] literal =
        [
            .. Encoding.UTF8.GetBytes(fields["head"].GetString()!),
            .. Encoding.Latin1.GetBytes(Message),
            .. ParcelBody.UsualPadding(fields["pad"].GetInt32()),
        ];
        Assert.Equal(b[1].Record.Text("lit"), Convert.ToHexStringLower(SHA256.HashData(literal)));
        var signer = Certificate
            .Read(_pair.A.Key.ExportCertificate())
            .Judge(_pair.A.Configuration.Gateway, b[1].Record.At);
        Assert.NotNull(DetachedSignature.Verify(literal, fields["sig"].GetBytesFromBase64(), signer.Signer!));
        literal[^100] ^= 1;
        Assert.Null(DetachedSignature.Verify(literal, fields["sig"].GetBytesFromBase64(), signer.Signer!));
    }

    [Fact]
    public async Task What_the_DNS_said_is_kept_and_holds_offline()
    {
        await SendAsync();
        var made = (await RecordsAsync(_pair.A, "b.example", 2))[1].Record;
        await using var spool = Spool.Open(_pair.A.Configuration.SpoolFile, running: false);
        var stream = spool.Blob(Convert.FromHexString(made.Text("dns")!))!;
        var (name, type, records) = DnsProof.Read(stream);
        var validator = new DnsValidator(new RecordedAnswers(records), _pair.World.Anchors, _pair.World.Time);
        var answer = await validator.LookupAsync(name, type, CancellationToken.None);
        Assert.Equal(DnsSecurity.Secure, answer.Security);
        Assert.Contains(made.Text("key")!, Encoding.ASCII.GetString(answer.Data[0]));
    }

    [Fact]
    public async Task Nothing_private_lies_on_the_disk_in_clear()
    {
        for (var i = 0; i < 20; i++)
            await SendAsync($"<bob{i}@b.example>");
        await _pair.A.SendAsync("<alice@a.example>", ["<dave@plain.example>"], Message);
        await _pair.B.WaitAsync(20);
        await RecordsAsync(_pair.B, "a.example", 41);
        await _pair.A.StopAsync();
        await _pair.B.StopAsync();
        string[] secrets = ["alice@", "bob3@", "carol@", "dave@", "CANARY", "1@a.example"];
        foreach (var file in Directory.EnumerateFiles(_pair.World.Directory, "*", SearchOption.AllDirectories))
        {
            var text = Encoding.Latin1.GetString(await File.ReadAllBytesAsync(file));
            Assert.All(secrets, s => Assert.False(text.Contains(s, StringComparison.Ordinal), $"{s} in {file}"));
        }
    }

    [Fact]
    public async Task Clear_text_is_on_record_with_its_reason()
    {
        await _pair.A.SendAsync("<alice@a.example>", ["<dave@plain.example>"], Message);
        var world = await RecordsAsync(_pair.A, LogOrigin.World, 5);
        Assert.Equal("begin policy key clear handed", Events(world));
        Assert.Equal("plain.example", world[3].Record.Text("domain"));
        Assert.NotEmpty(world[3].Record.Text("why")!);
        Assert.NotNull(world[3].Record.Text("dns"));
    }

    /// <summary>An auditor sees under which configuration and key mail went, and when that was another.</summary>
    [Fact]
    public async Task Another_configuration_is_on_record_and_the_same_is_not_twice()
    {
        var before = Convert.ToHexStringLower(SHA256.HashData(await File.ReadAllBytesAsync(_pair.A.File)));
        await _pair.A.StopAsync();
        await _pair.A.StartAsync(); // the same
        await _pair.A.StopAsync();
        await File.AppendAllTextAsync(_pair.A.File, "\n");
        await _pair.A.StartAsync();
        var world = await RecordsAsync(_pair.A, LogOrigin.World, 4);
        Assert.Equal("begin policy key policy", Events(world));
        Assert.Equal(before, world[1].Record.Text("file"));
        Assert.Equal(_pair.A.Key.Fingerprint, world[2].Record.Text("key"));
        Assert.Equal(before, world[3].Record.Text("was"));
        Assert.NotEqual(before, world[3].Record.Text("file"));
    }

    [Fact]
    public async Task A_message_is_found_by_id_message_id_and_address()
    {
        await SendAsync();
        await _pair.B.WaitAsync(1);
        var id = (await RecordsAsync(_pair.A, "b.example", 3))[1].Record.Text("id")!;
        await RecordsAsync(_pair.B, "a.example", 3);
        foreach (var company in new[] { _pair.A, _pair.B })
        {
            await using var spool = Spool.Open(company.Configuration.SpoolFile, running: false);
            var search = new RecordSearch(company.Configuration, spool);
            foreach (
                var what in new[]
                {
                    id,
                    "<1@a.example>",
                    "1@a.example",
                    "bob@b.example",
                    "Carol@B.example",
                    "alice@a.example",
                }
            )
                Assert.Equal([id], search.Find(what));
            Assert.Empty(search.Find("mallory@b.example"));
            Assert.Empty(search.Find(new string('0', 32)));
            Assert.Equal(2, search.About(id).Count);
        }
    }

    [Fact]
    public async Task Without_the_key_of_its_month_a_private_part_is_gone_and_the_record_stands()
    {
        await SendAsync();
        var made = (await RecordsAsync(_pair.A, "b.example", 2))[1];
        await using var spool = Spool.Open(_pair.A.Configuration.SpoolFile, running: false);
        Assert.NotNull(new RecordSearch(_pair.A.Configuration, spool).Open(made));
        Directory.Delete(Path.Combine(_pair.A.Configuration.Keys.Directory, "evidence"), recursive: true);
        var search = new RecordSearch(_pair.A.Configuration, spool);
        Assert.Null(search.Open(made));
        Assert.Empty(search.Find("bob@b.example"));
        Assert.NotEmpty(search.About(made.Record.Text("id")!));
    }

    [Fact]
    public async Task Where_nothing_is_to_be_kept_nothing_is()
    {
        await using var pair = await Pair.CreateAsync(moreA: "\"evidence\": { \"keep\": false }");
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        await pair.B.WaitAsync(1);
        await using var spool = Spool.Open(pair.A.Configuration.SpoolFile, running: false);
        Assert.Empty(spool.Logs());
        Assert.False(Directory.Exists(Path.Combine(pair.A.Configuration.Keys.Directory, "evidence")));
    }
}
