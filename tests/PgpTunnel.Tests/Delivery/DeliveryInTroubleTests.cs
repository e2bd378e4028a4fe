using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>
/// A spool that cannot be written, a slow server, lost bodies, dead servers, many at once: nothing is lost, nothing goes twice.
/// </summary>
public sealed class DeliveryInTroubleTests
{
    private const string Message =
        "From: alice@a.example\r\nSubject: CANARY\r\nMessage-ID: <1@a.example>\r\n\r\nbody\r\n";

    private static string Text(byte[] octets) => Encoding.Latin1.GetString(octets);

    /// <summary>Of what the disk has lost the sender hears all the same: its envelope lies elsewhere.</summary>
    [Theory]
    [InlineData("gone")]
    [InlineData("damaged")]
    public async Task A_parcel_whose_body_is_lost_is_given_up_like_any_other(string how)
    {
        await using var pair = await Pair.CreateAsync(
            moreA: "\"retry\": { \"first\": \"01:00:00\", \"longest\": \"01:00:00\", \"giveUp\": \"06:00:00\", "
                + "\"delayNotice\": \"02:30:00\" }"
        );
        pair.HopAnswer = _ => new SmtpReply(451, "4.2.0", "later");
        await pair.A.SendAsync(
            "<alice@a.example>",
            ["<bob@b.example>"],
            Message + string.Concat(Enumerable.Repeat("a line of text\r\n", 20_000))
        );
        await pair.A.WaitForLogAsync("event=delivery-deferred");
        foreach (
            var file in Directory.EnumerateFiles(Path.Combine(Path.GetDirectoryName(pair.A.File)!, "spool.db.bodies"))
        )
            if (how == "gone")
                File.Delete(file);
            else
                File.WriteAllBytes(file, new byte[new FileInfo(file).Length]);
        for (var attempts = 1; pair.A.Received.Count < 2 && attempts < 10; attempts++)
        {
            await Wait.UntilAsync(
                () => pair.A.Received.Count == 2 || Attempts(pair.A) >= attempts,
                () => pair.A.Log.ToString()
            );
            pair.World.Time.Advance(TimeSpan.FromHours(1));
        }
        var notices = (await pair.A.WaitAsync(2)).Select(s => Text(s.Message)).ToList();
        Assert.Contains(
            notices,
            n => n.Contains("Action: delayed") && n.Contains("Final-Recipient: rfc822; bob@b.example")
        );
        Assert.Contains(
            notices,
            n =>
                n.Contains("Action: failed")
                && n.Contains("Final-Recipient: rfc822; bob@b.example")
                && n.Contains("Subject: ")
        );
        Assert.DoesNotContain("event=stuck", pair.A.Log.ToString());
        Assert.Contains("event=body-lost", pair.A.Log.ToString());

        static int Attempts(Company company)
        {
            using var spool = new Microsoft.Data.Sqlite.SqliteConnection(
                $"Data Source={company.Configuration.SpoolFile};Pooling=False;Mode=ReadOnly"
            );
            spool.Open();
            using var command = spool.CreateCommand();
            command.CommandText = "SELECT max(attempts) FROM parcel WHERE route = 0";
            return command.ExecuteScalar() is long attempts ? (int)attempts : 0;
        }
    }

    [Fact]
    public async Task A_slow_server_gets_its_message_once_though_the_gateway_stops()
    {
        await using var pair = await Pair.CreateAsync();
        pair.B.LocalAnswer = _ =>
        {
            Thread.Sleep(4000);
            return null;
        };
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        await pair.B.WaitForLogAsync("event=opened");
        await Task.Delay(500);
        await pair.B.StopAsync();
        await pair.B.StartAsync();
        await pair.B.WaitAsync(1);
        await pair.B.SettledAsync();
        Assert.Single(pair.B.Received);
    }

    [Fact]
    public async Task A_spool_that_cannot_be_written_sends_nothing_twice()
    {
        await using var pair = await Pair.CreateAsync();
        Microsoft.Data.Sqlite.SqliteConnection? blocker = null;
        pair.HopAnswer = _ =>
        {
            // From now on, until released, no outcome can be written down.
            blocker = new Microsoft.Data.Sqlite.SqliteConnection(
                $"Data Source={pair.A.Configuration.SpoolFile};Pooling=False"
            );
            blocker.Open();
            using var begin = blocker.CreateCommand();
            begin.CommandText = "BEGIN IMMEDIATE";
            begin.ExecuteNonQuery();
            return null;
        };
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        await pair.B.WaitAsync(1);
        await Wait.UntilAsync(() => pair.A.Log.ToString().Contains("event=spool-error"), () => pair.A.Log.ToString());
        Assert.Single(pair.HopSaw);
        blocker!.Dispose();
        await pair.A.WaitForLogAsync("event=delivered");
        Assert.Single(pair.HopSaw);
    }

    [Fact]
    public async Task Many_at_once_arrive_each_once()
    {
        await using var pair = await Pair.CreateAsync();
        var sending = Enumerable
            .Range(0, 8)
            .Select(c =>
                Task.Run(async () =>
                {
                    for (var i = 0; i < 40; i++)
                        Assert.Equal(
                            250,
                            (
                                await pair.A.SendAsync(
                                    "<alice@a.example>",
                                    ["<bob@b.example>"],
                                    $"Subject: {c}-{i}\r\n\r\nbody\r\n"
                                )
                            )[0].Code
                        );
                })
            );
        await Task.WhenAll(sending);
        await Wait.UntilAsync(() => pair.B.Received.Count >= 320, () => $"{pair.B.Received.Count} of 320");
        await pair.A.SettledAsync();
        await pair.B.SettledAsync();
        Assert.Equal(320, pair.B.Received.Select(r => HeaderFields.Values(r.Message, "Subject")[0]).Distinct().Count());
        Assert.Equal((320, 320), (pair.B.Received.Count, pair.HopSaw.Count));
        Assert.DoesNotContain("refused", pair.B.Log.ToString());
        Assert.DoesNotContain("duplicate", pair.B.Log.ToString());
    }

    [Fact]
    public async Task Dead_dns_and_dead_relay_lose_nothing()
    {
        await using var pair = await Pair.CreateAsync(moreA: "\"retry\": { \"first\": \"00:00:10\" }");
        await pair.A.SendAsync("<alice@a.example>", ["<warm@b.example>"], Message);
        await pair.B.WaitAsync(1);
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        pair.World.Forge = (_, _, _) => new(2, [], []);
        Assert.StartsWith(
            "451 4.4.3",
            (await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message))[0].ToString()
        );
        pair.World.Forge = null;
        pair.World.Time.Advance(TimeSpan.FromMinutes(1));
        pair.HopAnswer = _ => throw new InvalidOperationException("the hop dies");
        Assert.StartsWith(
            "250",
            (await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message))[0].ToString()
        );
        await pair.A.WaitForLogAsync("event=delivery-deferred");
        pair.HopAnswer = _ => null;
        pair.World.Time.Advance(TimeSpan.FromMinutes(1));
        await pair.B.WaitAsync(2);
    }
}
