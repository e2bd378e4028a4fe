using System.Security.Cryptography;
using System.Text;
using PgpTunnel.Evidence;
using PgpTunnel.OpenPgp;
using Record = PgpTunnel.Evidence.Record;

namespace PgpTunnel.Tests;

/// <summary>Whose word is whose: what anybody writes into a log of his own is no word of another's.</summary>
public sealed partial class BundleTests
{
    /// <summary>A log as somebody who has a key can make it.</summary>
    private BundleLog Made(GatewayKey signer, string own, string peer, params Draft[] drafts)
    {
        var (edge, now) = (new TreeEdge(), _pair.World.Time.GetUtcNow());
        var records = drafts.Select((d, n) => Record.Read(d.Write(now, now, n).Record)).ToList();
        records.ForEach(r => edge.Append(r.LeafHash));
        var head = new Checkpoint(LogOrigin.New(own, peer), edge.Size, edge.Root());
        var leaves = records.Select(r => r.LeafHash).ToList();
        return new(
            head,
            DetachedSignature.Make(head.Octets, signer, now),
            [
                .. records.Select(r => new BundleRecord(
                    r,
                    new(r.N, InclusionPath.Make(r.N, edge.Size, new(n => leaves[(int)n], _ => [])), head),
                    null
                )),
            ]
        );
    }

    /// <summary>What both have on record, and beside it a log that A has made, all signed by A anew.</summary>
    private async Task<BundleFiles> WithAsync(BundleLog made, params Company[] companies)
    {
        var files = With(await BundleAsync(companies), "", null, "SHA256SUMS", "SHA256SUMS.asc");
        made.AddTo(files);
        Sums.Add(files, _pair.A.Key, _pair.World.Time.GetUtcNow());
        return files;
    }

    private static string LitOf(BundleFiles files) =>
        files
            .In("logs/", ".json")
            .Select(f => Encoding.ASCII.GetString(f.Octets))
            .Where(r => r.Contains("\"ev\":\"sealed\"", StringComparison.Ordinal))
            .Select(r => Record.Read(Encoding.ASCII.GetBytes(r)).Text("lit")!)
            .Single();

    /// <summary>A's own log says by A's key that B's mail server took it: that is A's word, and no proof.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_sender_cannot_say_for_the_recipient_what_became_of_it(bool isInItsName)
    {
        var lit = LitOf(await BundleAsync([_pair.A]));
        var outcome = new Draft(
            "outcome",
            ("id", _id),
            ("lit", lit),
            ("to", new object[] { new object[] { 0, "relayed", "2.0.0" } }),
            ("final", 1)
        );
        var (own, peer) = isInItsName ? ("b.example", "a.example") : ("a.example", "b.example");
        var statements = await VerifyAsync(await WithAsync(Made(_pair.A.Key, own, peer, outcome), _pair.A));
        Assert.Equal(Verdict.Claimed, Of(statements, Became));
        Assert.Equal(Verdict.Claimed, Of(statements, Crossed));
    }

    /// <summary>Nor does it take the place of what B itself says, in whatever order they come.</summary>
    [Fact]
    public async Task What_the_recipient_says_stands_beside_what_the_sender_made_up()
    {
        var outcome = new Draft(
            "outcome",
            ("id", _id),
            ("lit", LitOf(await BundleAsync([_pair.A]))),
            ("to", new object[] { new object[] { 0, "failed", "5.0.0" } }),
            ("final", 1)
        );
        foreach (var order in new[] { new[] { _pair.A, _pair.B }, [_pair.B, _pair.A] })
        {
            var files = await WithAsync(Made(_pair.A.Key, "a.example", "b.example", outcome), order);
            var became = (await VerifyAsync(files)).Single(s => s.What.Contains(Became, StringComparison.Ordinal));
            Assert.Equal(Verdict.Proved, became.Verdict);
            Assert.Contains("relayed", became.What);
        }
    }

    /// <summary>A puts on record, and into the bundle, a message that never crossed: it does not pass for the one that did.</summary>
    [Fact]
    public async Task A_message_that_only_its_sender_has_on_record_is_not_the_one_that_crossed()
    {
        var other = Encoding.Latin1.GetBytes(Message.Replace("body", "another body", StringComparison.Ordinal));
        var whole = await BundleAsync([_pair.A, _pair.B]);
        var head = Encoding.Latin1.GetBytes(
            Encoding
                .Latin1.GetString(whole["message/head"]!)
                .Replace($"Size: {Original.Length}\r\n", $"Size: {other.Length}\r\n", StringComparison.Ordinal)
        );
        byte[] literal = [.. head, .. other, .. whole["message/pad"]!];
        var made = new Draft(
            "sealed",
            ("id", new string('c', 32)),
            ("lit", Convert.ToHexStringLower(SHA256.HashData(literal)))
        );
        var files = With(
            With(
                await WithAsync(Made(_pair.A.Key, "a.example", "b.example", made), _pair.A, _pair.B),
                "message/head",
                head
            ),
            "message/sig",
            null,
            "SHA256SUMS",
            "SHA256SUMS.asc"
        );
        Sums.Add(files, _pair.A.Key, _pair.World.Time.GetUtcNow());
        var statements = await VerifyAsync(files, other);
        Assert.Equal(Verdict.Proved, Of(statements, $"{_id} {Crossed}"));
        Assert.Equal(Verdict.Contradicted, Of(statements, TheOne));
    }

    /// <summary>A piece of what was signed, with all the rest put around it: every signature is right, and it is not the message.</summary>
    [Fact]
    public async Task A_piece_of_a_message_is_not_the_message()
    {
        var files = await BundleAsync([_pair.B, _pair.A]);
        var cut = Message.IndexOf("Subject", StringComparison.Ordinal);
        var changed = With(
            files,
            "message/head",
            [.. files["message/head"]!, .. Original[..cut]],
            "SHA256SUMS",
            "SHA256SUMS.asc"
        );
        Sums.Add(changed, _pair.B.Key, _pair.World.Time.GetUtcNow());
        Assert.Equal(Verdict.Contradicted, Of(await VerifyAsync(changed, Original[cut..]), TheOne));
    }

    /// <summary>Who has one key only can write a log in anybody's name: it proves nothing of him.</summary>
    [Fact]
    public async Task A_log_in_the_name_of_another_proves_nothing()
    {
        var (now, mallory) = (
            _pair.World.Time.GetUtcNow(),
            GatewayKey.Generate(GatewayAlgorithm.Ed25519, "pgptunnel@m.example", _pair.World.Time.GetUtcNow())
        );
        BundleLog Log(string own, string peer, params Draft[] drafts) => Made(mallory, own, peer, drafts);
        (string, object?)[] same = [("id", new string('a', 32)), ("lit", new string('b', 64))];
        var files = new BundleFiles();
        Log("m.example", "b.example", new Draft("sealed", same)).AddTo(files);
        Log(
                "b.example",
                "m.example",
                new Draft("opened", same),
                new Draft("outcome", [.. same, ("to", new[] { "relayed" }), ("final", 1)])
            )
            .AddTo(files);
        files.Add($"keys/{mallory.Fingerprint}.pgp", mallory.ExportCertificate());
        Sums.Add(files, mallory, now);
        var statements = await VerifyAsync(files);
        Assert.Equal(Verdict.Claimed, Of(statements, Crossed));
        Assert.Equal(Verdict.Claimed, Of(statements, "what the receiving gateway says"));
        Assert.Equal(Verdict.Claimed, Of(statements, "nothing in the bundle was changed"));
        Assert.DoesNotContain(statements, s => s.Verdict == Verdict.Proved && s.What.Contains("by signed DNS"));
        // And two histories of one log are seen as what they are.
        var (one, other) = (
            Log("m.example", "b.example", new Draft("sealed", same)),
            Log("m.example", "b.example", new Draft("begin"))
        );
        var renamed = other with { Head = other.Head with { Origin = one.Head.Origin } };
        var twice = new[]
        {
            one,
            renamed with
            {
                Signature = DetachedSignature.Make(renamed.Head.Octets, mallory, now),
                Records = [],
            },
        }
            .Select(log =>
            {
                var bundle = new BundleFiles();
                log.AddTo(bundle);
                bundle.Add($"keys/{mallory.Fingerprint}.pgp", mallory.ExportCertificate());
                Sums.Add(bundle, mallory, now);
                return bundle;
            })
            .ToList();
        Assert.Equal(Verdict.Contradicted, Of(await VerifyAsync(twice, null), "has one history"));
    }
}
