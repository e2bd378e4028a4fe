namespace PgpTunnel.Tests;

/// <summary>Who may be tried at once, and who comes next.</summary>
public class SlotsTests
{
    private static readonly DateTimeOffset Now = new(2026, 9, 1, 0, 0, 0, TimeSpan.Zero);

    private static Parcel Make(string id, string domain, ParcelRoute route = ParcelRoute.Gateway, long octets = 10) =>
        SpoolTests.Waiting(id, Now) with
        {
            Route = route,
            Domain = domain,
            Octets = octets,
        };

    [Fact]
    public void A_destination_gets_one_slot_until_it_has_taken_something_and_five_then()
    {
        var slots = new Slots(() => 1000);
        Assert.True(slots.TryTake(Make("1", "b.example")));
        Assert.False(slots.TryTake(Make("1", "b.example")));
        Assert.False(slots.TryTake(Make("2", "b.example")));
        slots.Reached(new(ParcelRoute.Gateway, "b.example"), true);
        Assert.Equal(4, Enumerable.Range(2, 10).Count(i => slots.TryTake(Make($"{i}", "b.example"))));
        slots.Release(Make("1", "b.example"));
        Assert.True(slots.TryTake(Make("20", "b.example")));
    }

    [Fact]
    public void Dead_destinations_leave_room_for_the_living_and_for_our_own_server()
    {
        var slots = new Slots(() => 1_000_000);
        for (var i = 0; i < 200; i++)
            slots.Reached(new(ParcelRoute.Gateway, $"dead{i}.example"), false);
        Assert.Equal(20, Enumerable.Range(0, 200).Count(i => slots.TryTake(Make($"d{i}", $"dead{i}.example"))));
        Assert.Equal(55, Enumerable.Range(0, 200).Count(i => slots.TryTake(Make($"n{i}", $"new{i}.example"))));
        slots.Reached(new(ParcelRoute.Gateway, "live.example"), true);
        slots.Reached(new(ParcelRoute.Gateway, "live2.example"), true);
        Assert.Equal(
            10,
            Enumerable
                .Range(0, 20)
                .Count(i => slots.TryTake(Make($"l{i}", i % 2 == 0 ? "live.example" : "live2.example")))
        );
        Assert.Equal(
            5,
            Enumerable.Range(0, 20).Count(i => slots.TryTake(Make($"o{i}", "a.example", ParcelRoute.Local)))
        );
    }

    [Fact]
    public void Octets_are_bounded_and_large_ones_go_one_at_a_time_beside_the_small()
    {
        var slots = new Slots(() => 1600);
        Assert.True(slots.TryTake(Make("large", "b.example", octets: 1000)));
        Assert.False(slots.TryTake(Make("large2", "c.example", octets: 60)));
        slots.Reached(new(ParcelRoute.Gateway, "proven.example"), true); // who has taken something does not wait for who has not
        Assert.True(slots.TryTake(Make("large3", "proven.example", octets: 60)));
        Assert.False(slots.TryTake(Make("large4", "proven.example", octets: 60)));
        Assert.True(slots.TryTake(Make("small", "d.example", octets: 50)));
        Assert.True(slots.TryTake(Make("small2", "e.example", octets: 50)));
        Assert.False(slots.TryTake(Make("small3", "f.example", octets: 1)));
        slots.Release(Make("large", "b.example"));
        Assert.True(slots.TryTake(Make("large2", "c.example", octets: 60)));
        Assert.False(slots.TryTake(Make("small3", "f.example", octets: 1)));
        slots.Release(Make("small", "d.example"));
        Assert.True(slots.TryTake(Make("small3", "f.example", octets: 1)));
    }

    [Fact]
    public async Task Closed_it_gives_none_and_waits_for_those_it_gave()
    {
        var slots = new Slots(() => 1600);
        Assert.True(slots.TryTake(Make("a", "b.example")));
        var closed = slots.CloseAsync();
        Assert.False(slots.TryTake(Make("b", "c.example")));
        Assert.False(closed.IsCompleted);
        slots.Release(Make("a", "b.example"));
        await closed.WaitAsync(Wait.Bound);
    }

    [Fact]
    public void Destinations_come_in_the_order_in_which_they_are_due_each_once()
    {
        var slots = new Slots(() => 1600);
        var schedule = new Schedule(slots);
        void Note(string domain, int seconds) =>
            schedule.Note(new(ParcelRoute.Gateway, domain), Now.AddSeconds(seconds));
        Note("late", 20);
        Note("second", 2);
        Note("first", 5);
        Note("first", 1);
        Note("lost", 10_000_000); // written when the clock was wrong
        schedule.Look(Now.AddSeconds(10), Now.AddDays(1));
        slots.Reached(new(ParcelRoute.Gateway, "proven"), true);
        schedule.Wait(new(ParcelRoute.Gateway, "proven"));
        List<string> Take(Standing standing)
        {
            var taken = new List<string>();
            while (schedule.TryTake(standing, out var destination))
                taken.Add(destination.Domain);
            return taken;
        }
        Assert.True(schedule.HasWaiting(Standing.Unproven));
        Assert.Equal(["first", "second", "lost"], Take(Standing.Unproven));
        Assert.Equal(["proven"], Take(Standing.Proven));
        schedule.Look(Now.AddSeconds(30), Now.AddDays(1));
        Assert.Equal(["late"], Take(Standing.Unproven));
        Assert.False(schedule.HasWaiting(Standing.Unproven));
    }
}
