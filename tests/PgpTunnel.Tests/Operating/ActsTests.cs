namespace PgpTunnel.Tests;

/// <summary>What administrators do is on record in the gateway: in the journal, in the same step, and in its log.</summary>
public sealed class ActsTests
{
    [Fact]
    public async Task Each_act_is_in_the_journal_and_in_the_log_of_the_running_gateway()
    {
        await using var pair = await Pair.CreateAsync();
        pair.HopAnswer = _ => new Smtp.SmtpReply(451, "4.3.2", "later");
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], "Subject: s\r\n\r\nbody\r\n");
        await pair.A.WaitForLogAsync("event=delivery-deferred");
        await using var spool = Spool.Open(pair.A.Configuration.SpoolFile, running: false);
        var parcel = Assert.Single(spool.List());
        var acts = new Acts(spool, pair.World.Time, "carol");
        var until = pair.World.Time.GetUtcNow().AddDays(1);
        var fingerprint = new string('1', 40);
        await acts.HoldAsync(parcel);
        Assert.Equal(ParcelState.Held, spool.Find(parcel.Id)!.State);
        await acts.ReleaseAsync(parcel);
        await acts.RetryAsync(parcel);
        await acts.VerifyAsync("b.example", fingerprint);
        await acts.UnverifyAsync("b.example", fingerprint);
        await acts.OverrideAsync("b.example", new PartnerOverride("clear", until, "they move"));
        await acts.ForgetAsync("b.example");
        await acts.DropAsync(parcel);
        await acts.KeyAsync("revoke", fingerprint);
        Assert.Equal(
            [
                $"hold {parcel.Id} ",
                $"release {parcel.Id} ",
                $"retry {parcel.Id} ",
                $"partner verify b.example {fingerprint}",
                $"partner verify --remove b.example {fingerprint}",
                $"partner override clear b.example until {InnerHeader.Time(until)}: they move",
                "partner forget b.example ",
                $"drop {parcel.Id} ",
                $"key revoke {fingerprint} ",
            ],
            spool.Acts().Select(a => $"{a.What} {a.Subject} {a.Reason}")
        );
        Assert.All(spool.Acts(), a => Assert.Equal("carol", a.Who));
        Assert.Equal([8, 9], spool.Acts(after: 7).Select(a => a.Number));
        Assert.Null(spool.Find(parcel.Id));
        var logs = spool.Logs().OrderByDescending(l => l.Origin.Peer).ToList();
        Assert.Equal(["b.example", "-"], logs.Select(l => l.Origin.Peer)); // a key is about everybody
        Assert.Equal(
            spool.Acts().Select(a => $"{a.Who} {a.What} {a.Subject} {a.Reason}"),
            logs.SelectMany(l => spool.Records(l.Number))
                .Select(r => r.Record)
                .Where(r => r.Event == "operator")
                .Select(r => $"{r.Text("who")} {r.Text("what")} {r.Text("subject")} {r.Text("reason")}")
        );
        await Wait.UntilAsync(
            () =>
            {
                pair.World.Time.Advance(TimeSpan.FromSeconds(11));
                return pair.A.Log.ToString()!.Contains("event=act what=\"key revoke\"", StringComparison.Ordinal);
            },
            () => pair.A.Log.ToString()
        );
        Assert.Contains(
            $"event=act what=\"partner override clear\" subject=b.example by=carol reason=\"until {InnerHeader.Time(until)}: they move\"",
            pair.A.Log.ToString()
        );
    }
}
