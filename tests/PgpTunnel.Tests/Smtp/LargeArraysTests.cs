using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

public class LargeArraysTests
{
    [Fact]
    public void A_large_array_is_used_again_by_what_has_about_its_size()
    {
        var arrays = new LargeArrays(10_000_000);
        var first = arrays.Rent(1_000_000);
        Assert.InRange(first.Length, 1_000_000, 1_125_000);
        arrays.Return(first);
        Assert.NotSame(first, arrays.Rent(500_000));
        Assert.NotSame(first, arrays.Rent(first.Length + 1));
        var second = arrays.Rent(990_000);
        Assert.Same(first, second);
        Assert.NotSame(first, arrays.Rent(990_000)); // one owner at a time
    }

    [Fact]
    public void Small_arrays_have_their_size_and_are_not_kept()
    {
        var arrays = new LargeArrays(10_000_000);
        var small = arrays.Rent(10_000);
        Assert.Equal(10_000, small.Length);
        arrays.Return(small);
        Assert.NotSame(small, arrays.Rent(10_000));
        Assert.Empty(arrays.Rent(0));
    }

    [Fact]
    public void No_more_lie_idle_than_may()
    {
        var arrays = new LargeArrays(2_500_000);
        var all = Enumerable.Range(0, 5).Select(_ => arrays.Rent(1_000_000)).ToList();
        all.ForEach(a => arrays.Return(a));
        var again = Enumerable.Range(0, 5).Select(_ => arrays.Rent(1_000_000)).ToList();
        Assert.Equal([all[4], all[3]], again.Where(all.Contains)); // the last ones given back, still in the cache
        Assert.NotSame(all[0], new LargeArrays(0).Rent(1_000_000));
    }

    [Fact]
    public void What_is_secret_is_cleared()
    {
        var arrays = new LargeArrays(10_000_000);
        var array = arrays.Rent(200_000);
        array.AsSpan().Fill(1);
        arrays.Return(array, clearArray: true);
        Assert.False(array.AsSpan().ContainsAnyExcept((byte)0));
    }
}
