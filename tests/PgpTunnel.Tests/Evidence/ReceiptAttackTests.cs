using System.Text;
using PgpTunnel.Evidence;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;
using Record = PgpTunnel.Evidence.Record;

namespace PgpTunnel.Tests;

/// <summary>
/// What a peer that is verified sends as receipts, and may not: A is that peer, made by hand, and B has sealed for it. Nothing of it
/// settles what it should not.
/// </summary>
public sealed partial class ReceiptAttackTests : InboundSetting
{
    private const string LogId = "0123456789abcdef";
    private static readonly string Other = new('e', 32);

    /// <summary>A parcel that B has handed over for A, and that never came there.</summary>
    private async Task<Parcel> AwaitedAsync()
    {
        _pair.HopAnswer = _ => SmtpReply.Ok;
        await _pair.B.SendAsync("<bob@b.example>", ["<alice@a.example>"], "Subject: x\r\n\r\nx\r\n");
        await _pair.B.SettledAsync();
        return Sealed();
    }

    private Parcel Sealed()
    {
        using var spool = new OpenSpool(_pair.B.Configuration.SpoolFile);
        return spool.Spool.List().Single(p => p is { Form: ParcelForm.Sealed, Own.Length: > 0 });
    }

    private sealed class OpenSpool(string file) : IDisposable
    {
        public Spool Spool { get; } = Spool.Open(file, running: false);

        public void Dispose() => Spool.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    private TailItem Item(long n, string ev, string id, string lit, params (string, object?)[] more) =>
        new(Record.Read(new Draft(ev, [("id", id), ("lit", lit), .. more]).Write(Now, Now, n).Record), null);

    private TailItem Outcome(long n, Parcel parcel, object[]? to = null, string? id = null, string? lit = null) =>
        Item(
            n,
            "outcome",
            id ?? parcel.Id,
            lit ?? Convert.ToHexStringLower(parcel.Lit),
            ("to", new object[] { to ?? [0, "relayed", "2.0.0"] }),
            ("final", 1)
        );

    private LogTail Tail(
        IReadOnlyList<TailItem> items,
        TreeEdge? edge = null,
        GatewayKey? signer = null,
        string own = "a.example",
        string peer = "b.example",
        string id = LogId
    )
    {
        var whole = (edge ?? new TreeEdge()).Copy();
        foreach (var item in items)
            whole.Append(item.Leaf);
        var head = new Checkpoint(new(own, peer, id), whole.Size, whole.Root());
        return new(edge ?? new(), head, DetachedSignature.Make(head.Octets, signer ?? _pair.A.Key, Now), items);
    }

    private Task<string> ReceiptAsync(LogTail tail) => ReceiptAsync(tail.Write());

    private Task<string> ReceiptAsync(byte[] text)
    {
        byte[] message = [.. Parcels.ReceiptFields, .. text];
        var header = _pair.Header("<postmaster@b.example>", message.Length) with
        {
            Kind = ParcelKind.Receipt,
            MailFrom = new ReversePath((Mailbox?)null),
        };
        return DeliverAsync(Outer(Seal(Bodies.Write(header, [message]))));
    }

    private async Task NothingSettledAsync(string alarm)
    {
        await _pair.B.WaitForLogAsync($"event={alarm} ");
        Assert.Equal(ReceiptState.Asked, Sealed().Receipt);
        await Wait.UntilAsync( // the postmaster is told
            () => _pair.B.Received.Any(m => Encoding.Latin1.GetString(m.Message).Contains("a.example")),
            () => _pair.B.Log.ToString()
        );
    }

    [Fact]
    public async Task A_good_one_settles()
    {
        var parcel = await AwaitedAsync();
        Assert.StartsWith("250", await ReceiptAsync(Tail([Outcome(0, parcel)])));
        Assert.Equal(ReceiptState.Settled, Sealed().Receipt);
    }

    [Theory]
    [InlineData("another id")]
    [InlineData("another lit")]
    [InlineData("a recipient too many")]
    [InlineData("a recipient below none")]
    [InlineData("recipients of another form")]
    [InlineData("a good one beside a bad one")]
    public async Task What_does_not_fit_what_was_sealed_settles_nothing(string what)
    {
        var parcel = await AwaitedAsync();
        var items = what switch
        {
            "another id" => new[] { Outcome(0, parcel, id: Other) },
            "another lit" => [Outcome(0, parcel, lit: new string('0', 64))],
            "a recipient too many" => [Outcome(0, parcel, [1, "relayed", "2.0.0"])],
            "a recipient below none" => [Outcome(0, parcel, [-1, "relayed", "2.0.0"])],
            "recipients of another form" => [Outcome(0, parcel, ["0", "relayed"])],
            _ => [Outcome(0, parcel), Outcome(1, parcel, id: Other)],
        };
        Assert.StartsWith("250", await ReceiptAsync(Tail(items)));
        await NothingSettledAsync("receipt-mismatch");
    }

    [Theory]
    [InlineData("signed by a stranger")]
    [InlineData("in another's name")]
    [InlineData("about another")]
    [InlineData("no receipt at all")]
    [InlineData("too large")]
    public async Task What_is_not_the_peers_own_log_about_us_settles_nothing(string what)
    {
        var parcel = await AwaitedAsync();
        IReadOnlyList<TailItem> items = [Outcome(0, parcel)];
        var stranger = GatewayKey.Generate(GatewayAlgorithm.Ed25519, "pgptunnel@pgptunnel.a.example", Now);
        var text = what switch
        {
            "signed by a stranger" => Tail(items, signer: stranger).Write(),
            "in another's name" => Tail(items, own: "c.example").Write(),
            "about another" => Tail(items, peer: "c.example").Write(),
            "no receipt at all" => "x"u8.ToArray(),
            _ => Tail([.. items, .. Enumerable.Repeat(new TailItem(new byte[32]), 25_000)]).Write(),
        };
        Assert.StartsWith("250", await ReceiptAsync(text));
        await NothingSettledAsync("receipt-mismatch");
    }

    /// <summary>Each octet class of the text: whatever is changed, it no longer leads to the head that was signed.</summary>
    [Fact]
    public async Task Any_octet_that_is_changed_makes_it_another_or_none()
    {
        var parcel = await AwaitedAsync();
        var tail = Tail([Outcome(0, parcel), new(new byte[32])]);
        var text = tail.Write();
        // In a signature's packet there is room that nobody signs (RFC 9580 5.2.3.2).
        var signature = text.AsSpan().IndexOf(Encoding.ASCII.GetBytes(Convert.ToBase64String(tail.Signature)));
        var end = signature + Convert.ToBase64String(tail.Signature).Length;
        var random = new Random(1);
        for (var i = 0; i < 100; i++)
        {
            var (changed, at) = (text.ToArray(), random.Next(text.Length - 2));
            if (at >= signature && at < end)
                continue;
            changed[at] ^= (byte)(1 << random.Next(7));
            var reply = await ReceiptAsync(changed);
            Assert.True(reply.StartsWith("250") || reply.StartsWith("550"), reply); // 550: a CR or LF on its own
            Assert.Equal(ReceiptState.Asked, Sealed().Receipt);
        }
    }

    [Theory]
    [InlineData("another root for a size that is held")]
    [InlineData("an edge that does not fold")]
    [InlineData("a shorter log")]
    public async Task Two_histories_are_kept_as_proof_and_count_for_nothing(string what)
    {
        var parcel = await AwaitedAsync();
        TailItem[] before = [new(TreeHash.Leaf("0"u8)), new(TreeHash.Leaf("1"u8)), new(TreeHash.Leaf("2"u8))];
        await ReceiptAsync(Tail(before));
        TailItem[] others = [new(TreeHash.Leaf("x"u8)), new(TreeHash.Leaf("y"u8)), new(TreeHash.Leaf("z"u8))];
        var edge = new TreeEdge();
        foreach (var item in others)
            edge.Append(item.Leaf);
        await ReceiptAsync(
            what switch
            {
                "another root for a size that is held" => Tail(others),
                "an edge that does not fold" => Tail([Outcome(3, parcel)], edge),
                _ => Tail(others[..2]),
            }
        );
        await NothingSettledAsync("partner-rewrote-log");
        using var spool = new OpenSpool(_pair.B.Configuration.SpoolFile);
        var alarm = spool
            .Spool.Records(spool.Spool.OpenLog("b.example", "a.example")!.Number)
            .Single(r => r.Record.Event == "alarm");
        var kept = alarm.Record.Fields.Single(f => f.Name == "kept").Value.EnumerateArray().ToList();
        Assert.Equal(2, kept.Count);
        Assert.All(kept, k => Assert.NotNull(spool.Spool.Blob(Convert.FromHexString(k.GetString()!))));
    }

    [Fact]
    public async Task One_that_begins_too_late_counts_for_nothing_until_what_is_missing_has_come()
    {
        var parcel = await AwaitedAsync();
        TailItem[] first = [new(TreeHash.Leaf("0"u8))];
        await ReceiptAsync(Tail(first));
        var edge = new TreeEdge();
        edge.Append(first[0].Leaf);
        TailItem lost = new(TreeHash.Leaf("1"u8));
        var later = edge.Copy();
        later.Append(lost.Leaf);
        await ReceiptAsync(Tail([Outcome(2, parcel)], later));
        Assert.Equal(ReceiptState.Asked, Sealed().Receipt);
        Assert.DoesNotContain("alarm", _pair.B.Log.ToString());
        await ReceiptAsync(Tail([lost, Outcome(2, parcel)], edge));
        Assert.Equal(ReceiptState.Settled, Sealed().Receipt);
    }
}
