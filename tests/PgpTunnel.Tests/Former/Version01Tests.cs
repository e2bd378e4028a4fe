using System.Text;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

/// <summary>A gateway of version 0.1 notices nothing of what came after it.</summary>
public sealed class Version01Tests : IAsyncLifetime
{
    private Pair _pair = null!;

    public async ValueTask InitializeAsync() => _pair = await Pair.CreateAsync();

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    private static byte[] Open(byte[] outer, GatewayKey key) =>
        MessageOpener.Decrypt(Armor.Decode(Armor.Message, outer), [key]).UnverifiedBody.ToArray();

    /// <summary>Parcels that ask for a receipt and tell of logs, the fullest that there are.</summary>
    [Fact]
    public async Task It_reads_the_same_in_our_parcels()
    {
        byte[] full;
        var sent = 0;
        do
        {
            await _pair.B.SendAsync("<bob@b.example>", ["<alice@a.example>"], "Subject: b\r\n\r\nx\r\n");
            await _pair.A.SendAsync(
                "<alice@a.example> RET=HDRS",
                ["<bob@b.example> NOTIFY=NEVER", "<carol@b.example>"],
                $"Subject: {sent}\r\n\r\nx\r\n"
            );
            await _pair.B.WaitAsync(++sent);
            await _pair.A.WaitAsync(sent);
            _pair.World.Time.Advance(TimeSpan.FromSeconds(61));
            await Task.Delay(TimeSpan.FromSeconds(1));
            full = _pair
                .HopSaw.Where(s => s.To[0].Mailbox.Domain == "pgptunnel.b.example")
                .Select(s => Open(s.Message, _pair.B.Key))
                .MaxBy(b =>
                    b.AsSpan().IndexOf("\r\n\r\n"u8) + (b.AsSpan().IndexOf("Kind: message"u8) < 0 ? -10_000 : 0)
                )!;
        } while (sent < 60 && !(Has(full, "Checkpoint") && Has(full, "Seen") && Has(full, "Receipt")));
        Assert.True(sent < 60, Encoding.UTF8.GetString(full));
        var read = Version01.ReadInside(full);
        var (header, _) = ParcelBody.Read(full, ours: false);
        Assert.Null(read.NotUnderstood);
        Assert.Equal((header.Id, header.MailFrom.ToString(), header.Size), (read.Id, read.From, read.Size));
        Assert.Equal(header.RcptTo.Select(r => r.ToString()), read.To);
        Assert.Equal(2, read.To.Count);
    }

    private static bool Has(byte[] body, string field) =>
        body.AsSpan().IndexOf(Encoding.ASCII.GetBytes($"\r\nPgpTunnel-{field}: ")) > 0;

    [Fact]
    public void It_finds_our_policy_usable()
    {
        var record = PublishedRecords.For(_pair.B.Configuration, [_pair.B.Key], [], asTxt: false)[0];
        var text = Encoding.ASCII.GetString(Dns.CharacterStrings.Join(record.Rdata));
        Assert.Contains("; rct=1", text);
        var tags = Version01.ReadPolicy(text);
        Assert.Equal(["a", "fp", "gw", "m", "sz", "v"], tags.Keys.Order());
        Assert.Equal(_pair.B.Key.Fingerprint, tags["fp"]);
    }

    /// <summary>A receipt is for who asked only: it does not understand the kind, and says so.</summary>
    [Fact]
    public void It_would_not_take_a_receipt()
    {
        var body = Bodies.Write(_pair.Header("<bob@b.example>", 0) with { Kind = ParcelKind.Receipt }, []);
        Assert.Equal("kind receipt", Version01.ReadInside(body).NotUnderstood);
    }
}
