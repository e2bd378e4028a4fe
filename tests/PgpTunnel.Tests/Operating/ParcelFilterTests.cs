using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>
/// Of what waits, those that are asked for: by the domain they are for where that stands beside them, else with their envelopes.
/// </summary>
public sealed class ParcelFilterTests : IAsyncLifetime
{
    private Pair _pair = null!;

    public async ValueTask InitializeAsync()
    {
        _pair = await Pair.CreateAsync();
        // At B waits what A has sent, and a message of its own for A.
        _pair.B.LocalAnswer = _ => new SmtpReply(451, "4.3.2", "later");
        await _pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], "Subject: 1\r\n\r\n1\r\n");
        await _pair.A.SendAsync("<Anna@a.example>", ["<carol@b.example>"], "Subject: 2\r\n\r\n2\r\n");
        await Wait.UntilAsync(() => All().Parcels.Count == 2, () => _pair.B.Log.ToString());
        _pair.HopAnswer = _ => new SmtpReply(451, "4.3.2", "later");
        await _pair.B.SendAsync("<bob@b.example>", ["<alice@a.example>"], "Subject: 3\r\n\r\n3\r\n");
        await _pair.B.SendAsync("<>", ["<alice@a.example>"], "Subject: 4\r\n\r\n4\r\n");
        await Wait.UntilAsync(() => All().Parcels.Count == 4, () => _pair.B.Log.ToString());
    }

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    private (IReadOnlyList<ParcelView> Parcels, int Unreadable) All() => Of(new(null, null, null));

    private (IReadOnlyList<ParcelView> Parcels, int Unreadable) Of(ParcelFilter filter)
    {
        var spool = Spool.Open(_pair.B.Configuration.SpoolFile, running: false);
        try
        {
            return filter.Waiting(_pair.B.Configuration, spool);
        }
        finally
        {
            spool.DisposeAsync().AsTask().GetAwaiter().GetResult();
        }
    }

    [Theory]
    [InlineData(null, null, 4)]
    [InlineData("a.example", null, 2)]
    [InlineData("b.example", null, 1)]
    [InlineData(null, "a.example", 2)]
    [InlineData(null, "b.example", 2)]
    [InlineData(null, "bob@b.example", 1)]
    [InlineData("anna@a.example", null, 1)]
    [InlineData("alice@a.example", "carol@b.example", 0)]
    [InlineData("alice@a.example", "b.example", 1)]
    [InlineData("<>", null, 1)]
    [InlineData("c.example", null, 0)]
    [InlineData(null, "nobody@b.example", 0)]
    public void Those_of_a_sender_and_for_a_recipient(string? from, string? to, int count)
    {
        var (parcels, unreadable) = Of(new(from, to, null));
        Assert.Equal((count, 0), (parcels.Count, unreadable));
    }

    [Fact]
    public void Those_that_have_waited_long()
    {
        Assert.Empty(Of(new(null, null, _pair.World.Time.GetUtcNow().AddHours(-1))).Parcels);
        Assert.Equal(4, Of(new(null, null, _pair.World.Time.GetUtcNow().AddHours(1))).Parcels.Count);
    }

    /// <summary>What cannot be opened may be one of them: it is counted, and not passed over in silence.</summary>
    [Fact]
    public async Task What_cannot_be_opened_is_counted()
    {
        await using (var spool = Spool.Open(_pair.B.Configuration.SpoolFile, running: false))
        {
            var parcel = spool.List().First(p => p.Route == ParcelRoute.Local);
            await spool.ChangeBodyAsync(parcel.Id, new byte[100]);
        }
        Assert.Equal(1, Of(new(null, "nobody@b.example", null)).Unreadable);
        Assert.Equal(0, Of(new(null, "a.example", null)).Unreadable);
    }
}
