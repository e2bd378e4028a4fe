using System.Text;
using PgpTunnel.Demo;
using PgpTunnel.Evidence;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>What becomes of receipts, and of parcels, that do not arrive.</summary>
public sealed partial class ReceiptTests
{
    /// <summary>What stands in the outer message is a receipt: nothing else goes from B to A in these tests.</summary>
    private static bool IsToA(Seen seen) => seen.To[0].Mailbox.Domain == "pgptunnel.a.example";

    private static string TextOf(Seen seen) => Encoding.Latin1.GetString(seen.Message);

    /// <summary>A message that has arrived, and whose receipt a hop has swallowed, as it does all that follow.</summary>
    private async Task<string> SendWithoutReceiptAsync()
    {
        _pair.HopAnswer = seen => IsToA(seen) ? SmtpReply.Ok : null;
        var id = await SendAsync();
        Pass();
        await _pair.B.WaitForLogAsync("event=receipt-sent");
        await _pair.B.SettledAsync();
        return id;
    }

    [Fact]
    public async Task A_receipt_that_a_hop_holds_back_is_missed_and_asked_for_by_the_same_octets()
    {
        var id = await SendWithoutReceiptAsync();
        Pass(TimeSpan.FromHours(4));
        await UntilAsync(id, ReceiptState.Overdue);
        await _pair.A.WaitForLogAsync("event=postmaster-told");
        _pair.HopAnswer = _ => null;
        await _pair.B.WaitForLogAsync("event=duplicate");
        Pass();
        await UntilAsync(id, ReceiptState.Settled);
        Assert.Single(_pair.B.Received);
        Assert.Contains(_pair.A.Received, m => TextOf(m).Contains("No receipt from b.example"));
    }

    [Fact]
    public async Task A_parcel_that_a_hop_swallows_goes_again_until_it_is_there_and_comes_once()
    {
        var swallows = true;
        _pair.HopAnswer = seen => swallows && !IsToA(seen) ? SmtpReply.Ok : null;
        await _pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], "Subject: x\r\n\r\nx\r\n");
        await _pair.A.SettledAsync();
        var id = (await LastAsync()).Id;
        Pass(TimeSpan.FromHours(4) + TimeSpan.FromSeconds(1));
        await UntilAsync(id, ReceiptState.Overdue);
        Assert.Empty(_pair.B.Received);
        swallows = false;
        for (var hour = 0; hour < 4 && _pair.B.Received.Count == 0; hour++)
        {
            Pass(TimeSpan.FromHours(1));
            await Task.Delay(TimeSpan.FromSeconds(3));
        }
        await _pair.B.WaitAsync(1);
        await _pair.A.SettledAsync();
        Pass();
        await UntilAsync(id, ReceiptState.Settled);
        Assert.Single(_pair.B.Received);
        var events = string.Join(
            ' ',
            (await OnRecordTests.RecordsAsync(_pair.A, "b.example", 5)).Select(r => r.Record.Event)
        );
        Assert.StartsWith("begin sealed handed overdue resent", events);
    }

    /// <summary>What was lost with a log that has ended since is told again in the next.</summary>
    [Fact]
    public async Task A_receipt_that_was_lost_with_its_log_is_given_again_in_another()
    {
        var id = await SendWithoutReceiptAsync();
        await _pair.B.StopAsync();
        await using (var spool = Spool.Open(_pair.B.Configuration.SpoolFile, running: false))
            await spool.CloseLogsAsync([spool.OpenLog("b.example", "a.example")!.Number]);
        await _pair.B.StartAsync();
        _pair.HopAnswer = _ => null;
        Pass(TimeSpan.FromHours(4));
        await UntilAsync(id, ReceiptState.Overdue);
        await _pair.B.WaitForLogAsync("event=duplicate");
        Pass();
        await UntilAsync(id, ReceiptState.Settled);
    }

    /// <summary>
    /// Whoever has caught a parcel can send it again: what is told again for it grows by one each time at most, and not for ever.
    /// </summary>
    [Fact]
    public async Task A_parcel_that_comes_again_and_again_is_told_of_a_few_times()
    {
        Seen? caught = null;
        _pair.HopAnswer = seen =>
        {
            if (!IsToA(seen))
                caught ??= seen;
            return null;
        };
        var id = await SendAsync();
        Pass();
        await UntilAsync(id, ReceiptState.Settled);
        for (var i = 0; i < 15; i++)
        {
            await _pair.PassAsync(caught!);
            // What is told is acknowledged, so that the next time it may have been lost again.
            await using var spool = Spool.Open(_pair.B.Configuration.SpoolFile, running: false);
            if (spool.OwedReceipt("b.example", "a.example") is { } owed)
                await spool.AckedAsync(owed, spool.OpenLog("b.example", "a.example")!.Edge.Size);
        }
        var records = await OnRecordTests.RecordsAsync(_pair.B, "a.example", 3);
        Assert.InRange(records.Count(r => r.Record.Number("again") is not null), 1, 10);
        Assert.InRange(records.Count(r => r.Record.Event == "outcome"), 2, 11);
    }

    /// <summary>Parcels tell how far the log is held; where that stays behind what was sent, it is sent again.</summary>
    [Fact]
    public async Task A_receipt_that_is_lost_among_others_is_sent_again_before_it_is_missed()
    {
        var first = await SendAsync();
        Pass();
        await UntilAsync(first, ReceiptState.Settled);
        var swallows = true;
        _pair.HopAnswer = seen => swallows && IsToA(seen) ? SmtpReply.Ok : null;
        var lost = await SendAsync();
        Pass();
        await Wait.UntilAsync(
            () => _pair.B.Log.ToString().Split("event=receipt-sent").Length == 3,
            () => _pair.B.Log.ToString()
        );
        await _pair.B.SettledAsync();
        swallows = false;
        for (var i = 0; i < 9; i++)
        {
            await SendAsync();
            Pass(TimeSpan.FromMinutes(10));
            await Task.Delay(TimeSpan.FromSeconds(1.5)); // a round
        }
        await UntilAsync(lost, ReceiptState.Settled);
        Assert.Contains("event=receipt-ahead", _pair.A.Log.ToString());
        Assert.DoesNotContain("event=receipt-overdue", _pair.A.Log.ToString());
    }
}
