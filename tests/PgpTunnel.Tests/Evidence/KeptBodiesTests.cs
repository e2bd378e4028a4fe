using System.Text;
using PgpTunnel.Demo;
using PgpTunnel.Evidence;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>What is kept until a receipt comes makes room for mail.</summary>
public sealed class KeptBodiesTests : IAsyncLifetime
{
    private Pair _pair = null!;

    public async ValueTask InitializeAsync() => _pair = await Pair.CreateAsync("\"limits\": { \"queue\": 40000 }");

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    [Fact]
    public async Task Kept_bodies_go_the_oldest_first_before_mail_is_refused()
    {
        for (var i = 0; i < 12; i++)
        {
            var reply = await _pair.A.SendAsync(
                "<alice@a.example>",
                ["<bob@b.example>"],
                $"Subject: {i}\r\n\r\n{string.Concat(Enumerable.Repeat("0123456789\r\n", 500))}"
            );
            Assert.StartsWith("250", reply[0].ToString());
            await _pair.A.SettledAsync();
            _pair.World.Time.Advance(TimeSpan.FromSeconds(2)); // room is looked at once a second
        }
        await _pair.B.WaitAsync(12);
        await _pair.A.WaitForLogAsync("event=kept-dropped");
        await using var spool = Spool.Open(_pair.A.Configuration.SpoolFile, running: false);
        var parcels = spool.List().Where(p => p.Form == ParcelForm.Sealed).OrderBy(p => p.Created).ToList();
        Assert.Equal(0, parcels[0].Octets);
        Assert.True(parcels[^1].Octets > 0);
        Assert.All(parcels, p => Assert.Equal(ReceiptState.Asked, p.Receipt));
    }
}

/// <summary>A peer that publishes no <c>rct</c> is asked for nothing, and nothing of it is missed.</summary>
public sealed class NoReceiptTests : IAsyncLifetime
{
    private Pair _pair = null!;

    public async ValueTask InitializeAsync() =>
        _pair = await Pair.CreateAsync(policyB: "v=PGPT1; m=enforce; fp=FPR; rct=yes; a=604800");

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    [Fact]
    public async Task No_receipt_no_alarm_and_nothing_kept()
    {
        await _pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], "Subject: x\r\n\r\nx\r\n");
        await _pair.B.WaitAsync(1);
        await _pair.A.SettledAsync();
        _pair.World.Time.Advance(TimeSpan.FromHours(5));
        await Task.Delay(TimeSpan.FromSeconds(3));
        await using var spool = Spool.Open(_pair.A.Configuration.SpoolFile, running: false);
        var parcel = Assert.Single(spool.List(), p => p.Form == ParcelForm.Sealed);
        Assert.Equal((ReceiptState.None, 0L), (parcel.Receipt, parcel.Octets));
        Assert.DoesNotContain("receipt", _pair.B.Log.ToString());
    }
}
