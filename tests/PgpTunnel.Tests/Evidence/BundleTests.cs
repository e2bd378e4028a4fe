using System.Text;
using PgpTunnel.Evidence;
using PgpTunnel.OpenPgp;
using Record = PgpTunnel.Evidence.Record;

namespace PgpTunnel.Tests;

/// <summary>
/// A bundle with what both companies have on record shows what it should; one in which anything was changed contradicts itself, whoever
/// changed it.
/// </summary>
public sealed partial class BundleTests : IAsyncLifetime
{
    private const string Message =
        "From: alice@a.example\r\nTo: bob@b.example\r\nSubject: x\r\nMessage-ID: <1@a.example>\r\n\r\nbody\r\n";

    private static readonly byte[] Original = Encoding.Latin1.GetBytes(Message);

    private Pair _pair = null!;
    private string _id = "";

    public async ValueTask InitializeAsync()
    {
        _pair = await Pair.CreateAsync();
        var reply = (await _pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message))[0];
        _id = reply.Text.Split(' ')[0];
        await _pair.B.WaitAsync(1);
        await OnRecordTests.RecordsAsync(_pair.A, "b.example", 3);
        await OnRecordTests.RecordsAsync(_pair.B, "a.example", 3);
    }

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    private async Task AddAsync(Company company, BundleFiles files, BundleGuide guide, bool withAddresses)
    {
        await using var spool = Spool.Open(company.Configuration.SpoolFile, running: false);
        var names = new NameService(company.Configuration, _pair.World.Time);
        await new BundleMaker(company.Gateway.Settings, spool, names, _pair.World.Time).AddAsync(
            files,
            guide,
            withAddresses
        );
    }

    /// <summary>What these have on record, signed by the first.</summary>
    private async Task<BundleFiles> BundleAsync(Company[] companies, bool withAddresses = true)
    {
        var (files, guide) = (new BundleFiles(), new BundleGuide(_id));
        foreach (var company in companies)
            await AddAsync(company, files, guide, withAddresses);
        files.Add("README.txt", guide.ToString());
        Sums.Add(files, companies[0].Key, _pair.World.Time.GetUtcNow());
        return files;
    }

    private Task<IReadOnlyList<Statement>> VerifyAsync(BundleFiles files, byte[]? message = null) =>
        VerifyAsync([files], message);

    private Task<IReadOnlyList<Statement>> VerifyAsync(IReadOnlyList<BundleFiles> files, byte[]? message) =>
        new BundleVerification(files, _pair.World.Anchors, message, _pair.World.Time.GetUtcNow()).RunAsync();

    private static Verdict Of(IEnumerable<Statement> statements, string what) =>
        statements.Single(s => s.What.Contains(what, StringComparison.Ordinal)).Verdict;

    private const string Crossed = "crossed sealed",
        TheOne = "the message that was given is the one",
        SignedIt = "signed it",
        Became = "became of";

    [Fact]
    public async Task Both_sides_together_prove_that_it_crossed_sealed()
    {
        var statements = await VerifyAsync(await BundleAsync([_pair.B, _pair.A]), Original);
        Assert.All(statements.Where(s => s.What != "when"), s => Assert.Equal(Verdict.Proved, s.Verdict));
        foreach (var what in new[] { Crossed, TheOne, SignedIt, Became })
            Assert.Equal(Verdict.Proved, Of(statements, what));
        Assert.Equal(4, statements.Count(s => s.What.Contains("by signed DNS", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task One_side_alone_claims_it()
    {
        var a = await VerifyAsync(await BundleAsync([_pair.A]), Original);
        Assert.Equal(Verdict.Claimed, Of(a, Crossed));
        Assert.Equal(Verdict.NotCovered, Of(a, Became));
        Assert.Equal(Verdict.Proved, Of(a, TheOne));
        var b = await VerifyAsync(await BundleAsync([_pair.B]), Original);
        Assert.Equal(Verdict.Claimed, Of(b, Crossed));
        Assert.Equal(Verdict.Proved, Of(b, SignedIt)); // A cannot deny it: its own signature is in the message
    }

    [Fact]
    public async Task The_bundles_of_both_sides_prove_it_together_and_those_of_two_messages_do_not()
    {
        var (a, b) = (await BundleAsync([_pair.A]), await BundleAsync([_pair.B]));
        foreach (var both in new[] { new[] { a, b }, [b, a] })
        {
            var statements = await VerifyAsync(both, Original);
            Assert.Equal(Verdict.Proved, Of(statements, Crossed));
            Assert.Equal(Verdict.Proved, Of(statements, SignedIt));
            Assert.DoesNotContain(statements, s => s.Verdict == Verdict.Contradicted);
        }
        var first = _id;
        _id = (await _pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message))[0].Text.Split(' ')[0];
        await _pair.B.WaitAsync(2);
        await OnRecordTests.RecordsAsync(_pair.B, "a.example", 5);
        var others = await VerifyAsync([a, await BundleAsync([_pair.B])], null);
        Assert.Equal(Verdict.Claimed, Of(others, $"{first} {Crossed}"));
        Assert.Equal(Verdict.Claimed, Of(others, $"{_id} {Crossed}"));
    }

    [Fact]
    public async Task Without_addresses_nothing_private_is_in_it()
    {
        var files = await BundleAsync([_pair.B, _pair.A], withAddresses: false);
        foreach (var name in files.Names)
            Assert.DoesNotContain("bob@", Encoding.Latin1.GetString(files[name]!));
        var statements = await VerifyAsync(files, Original);
        Assert.Equal(Verdict.Proved, Of(statements, Crossed));
        Assert.Equal(Verdict.NotCovered, Of(statements, TheOne));
    }

    [Fact]
    public async Task It_is_read_as_it_was_written()
    {
        var files = await BundleAsync([_pair.B, _pair.A]);
        using var tar = new MemoryStream();
        files.Write(tar);
        tar.Position = 0;
        var read = BundleFiles.Read(tar);
        Assert.Equal(files.Names, read.Names);
        Assert.All(files.Names, n => Assert.Equal(files[n], read[n]));
        using var again = new MemoryStream();
        read.Write(again);
        Assert.Equal(tar.ToArray(), again.ToArray());
    }

    /// <summary>Whoever changes it without a key cannot make its list and the list's signature fit.</summary>
    [Fact]
    public async Task An_octet_changed_anywhere_is_seen()
    {
        var files = await BundleAsync([_pair.B, _pair.A]);
        foreach (var name in files.Names)
        foreach (var at in Places(files[name]!.Length))
        {
            var statements = await VerifyAsync(With(files, name, Flipped(files[name]!, at)), Original);
            Assert.True(statements.Any(s => s.Verdict == Verdict.Contradicted), $"{name}, octet {at}");
        }
    }

    /// <summary>
    /// Company A lies about what it has, and signs the list anew: each of its own files is bound by a head that it signed before, and
    /// B's by B's key.
    /// </summary>
    [Fact]
    public async Task Who_made_it_cannot_change_it_either()
    {
        var files = await BundleAsync([_pair.A, _pair.B]);
        var before = await VerifyAsync(files, Original);
        string[] free = ["README.txt", "SHA256SUMS", "SHA256SUMS.asc"]; // what he may write himself
        foreach (var name in files.Names.Except(free).Where(n => !n.StartsWith("dns/", StringComparison.Ordinal)))
        foreach (var at in Places(files[name]!.Length))
        {
            var changed = With(files, name, Flipped(files[name]!, at), without: free);
            Sums.Add(changed, _pair.A.Key, _pair.World.Time.GetUtcNow());
            var statements = await VerifyAsync(changed, Original);
            // Of a certificate there is more than what verifies its signatures: without that it shows the same.
            Assert.True(
                statements.Any(s => s.Verdict == Verdict.Contradicted)
                    || (name.StartsWith("keys/") && statements.SequenceEqual(before)),
                $"{name}, octet {at}: {string.Join('\n', statements)}"
            );
        }
    }

    /// <summary>A proof of the DNS that does not hold is no proof; nothing is believed on it.</summary>
    [Fact]
    public async Task A_changed_proof_of_the_DNS_shows_nothing()
    {
        var files = await BundleAsync([_pair.A, _pair.B]);
        foreach (var name in files.Names.Where(n => n.EndsWith(".rr", StringComparison.Ordinal)))
        foreach (var at in Places(files[name]!.Length))
        {
            var octets = Flipped(files[name]!, at);
            var changed = With(files, name, octets, without: ["SHA256SUMS", "SHA256SUMS.asc"]);
            Sums.Add(changed, _pair.A.Key, _pair.World.Time.GetUtcNow());
            var statements = await VerifyAsync(changed, Original);
            Assert.True(statements.Any(s => s.Verdict == Verdict.Contradicted), $"{name}, octet {at}");
        }
    }

    [Fact]
    public async Task Another_message_another_anchor_and_a_record_left_out_are_seen()
    {
        var files = await BundleAsync([_pair.A, _pair.B]);
        Assert.Equal(Verdict.Contradicted, Of(await VerifyAsync(files, Flipped(Original, 20)), TheOne));
        await using var other = new TestWorld();
        var statements = await new BundleVerification(
            [files],
            other.Anchors,
            Original,
            _pair.World.Time.GetUtcNow()
        ).RunAsync();
        Assert.All(
            statements.Where(s => s.What.Contains("by signed DNS")),
            s => Assert.Equal(Verdict.NotCovered, s.Verdict)
        );
        var record = files.Names.First(n => n.EndsWith("/1.json", StringComparison.Ordinal));
        Assert.Contains(await VerifyAsync(With(files, record, null), Original), s => s.Verdict == Verdict.Contradicted);
    }

    [Theory]
    [InlineData("../x")]
    [InlineData("/x")]
    [InlineData("a//b")]
    [InlineData(".x")]
    [InlineData("a b")]
    [InlineData("")]
    public void A_name_that_leads_elsewhere_is_none(string name) =>
        Assert.Throws<ArgumentException>(() => new BundleFiles().Add(name, []));

    [Fact]
    public void What_is_no_archive_is_no_bundle()
    {
        foreach (
            var octets in new[] { [], new byte[512], new byte[10_240], Encoding.ASCII.GetBytes(new string('x', 2000)) }
        )
            Assert.Throws<EvidenceException>(() => BundleFiles.Read(new MemoryStream(octets)));
    }

    private static IEnumerable<int> Places(int length) =>
        new[] { 0, 1, length / 4, length / 3, length / 2, 2 * length / 3, length - 2, length - 1 }
            .Where(at => at >= 0 && at < length)
            .Distinct();

    private static byte[] Flipped(byte[] octets, int at)
    {
        var changed = (byte[])octets.Clone();
        changed[at] ^= 1;
        return changed;
    }

    /// <param name="octets">Null = the file is left out.</param>
    private static BundleFiles With(BundleFiles files, string changed, byte[]? octets, params string[] without)
    {
        var copy = new BundleFiles();
        foreach (var name in files.Names.Except(without))
            if (name != changed)
                copy.Add(name, files[name]!);
            else if (octets is not null)
                copy.Add(name, octets);
        return copy;
    }
}
