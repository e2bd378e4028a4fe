using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>Bodies of large parcels, in files.</summary>
public sealed partial class SpoolTests
{
    // Bodies in files

    private static readonly byte[] Large =
    [
        .. Enumerable.Range(0, BodyFiles.Smallest + 1000).Select(i => (byte)(i * 7)),
    ];

    private string[] Files => Directory.GetFiles(Path.Combine(_directory, "spool.db.bodies"));

    [Fact]
    public async Task A_large_body_has_a_file_that_goes_with_its_row()
    {
        await _spool.CommitAsync(
            new()
            {
                Add =
                [
                    Make("edge", body: Large[..BodyFiles.Smallest]),
                    Make("small", body: Large[..(BodyFiles.Smallest - 1)]),
                ],
            }
        );
        Assert.Single(Files);
        Assert.Equal(Large[..BodyFiles.Smallest], _spool.Load("edge")!.Value.Content.Body.ToArray());
        Assert.Equal(Large[..(BodyFiles.Smallest - 1)], _spool.Load("small")!.Value.Content.Body.ToArray());
        Assert.True(_spool.Size() > 2 * BodyFiles.Smallest);
        await _spool.CommitAsync(new() { Remove = "edge", Add = [Make("anew", body: Large)] });
        Assert.Equal(Large, await File.ReadAllBytesAsync(Assert.Single(Files)));
        await _spool.CommitAsync(new() { HandOver = new("anew", Now, "", null) });
        Assert.Empty(Files);
        Assert.Empty(_spool.Load("anew")!.Value.Content.Body.ToArray());
        await _spool.CommitAsync(new() { Add = [Make("dropped", body: Large)] });
        await _spool.CommitAsync(new() { Remove = "dropped" });
        Assert.Empty(Files);
    }

    [Fact]
    public async Task What_is_not_kept_leaves_no_file_and_takes_none_away()
    {
        var replay = new ReplayEntry("f", "id", [1], Now.AddDays(1));
        Assert.True(await _spool.CommitAsync(new() { Add = [Make("a", body: Large)], Replay = replay }));
        Assert.False(await _spool.CommitAsync(new() { Add = [Make("a", body: Large)], Replay = replay }));
        await Assert.ThrowsAsync<SpoolException>(() => _spool.CommitAsync(new() { Add = [Make("a", body: Large)] })); // an id twice
        Assert.Single(Files);
        Assert.Equal(Large, _spool.Load("a")!.Value.Content.Body.ToArray());
    }

    [Fact]
    public async Task What_a_crash_left_over_goes_when_it_is_older_than_a_parcel_gets_and_only_that()
    {
        await _spool.CommitAsync(new() { Add = [Make("a", body: Large)] });
        var files = Files;
        await _spool.CommitAsync(new() { Add = [Make("handed", body: Large)] });
        var handed = Files.Except(files).Single();
        await _spool.CommitAsync(new() { HandOver = new("handed", Now, "", null) });
        await File.WriteAllBytesAsync(handed, Large); // as if the crash had come before it was deleted
        await _spool.DisposeAsync();
        var (left, young) = (
            Path.Combine(_directory, "spool.db.bodies", "0123"),
            Path.Combine(_directory, "spool.db.bodies", "4567")
        );
        foreach (var file in new[] { left, young })
            await File.WriteAllTextAsync(file, "left over");
        foreach (var file in Files.Where(f => f != young))
            File.SetLastWriteTimeUtc(file, File.GetLastWriteTimeUtc(file) - BodyFiles.LeftOverLife);
        await Spool.Open(Path.Combine(_directory, "spool.db"), running: false).DisposeAsync(); // a command: not its business
        Assert.True(File.Exists(left));
        _spool = Spool.Open(Path.Combine(_directory, "spool.db"), running: true);
        Assert.Equal([.. files, young], Files.Order().OrderBy(f => f == young));
        Assert.Equal(Large, _spool.Load("a")!.Value.Content.Body.ToArray());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_body_that_is_missing_or_cut_short_is_named(bool missing)
    {
        await _spool.CommitAsync(new() { Add = [Make("a", body: Large)] });
        if (missing)
            File.Delete(Files[0]);
        else
            await File.WriteAllBytesAsync(Files[0], Large[..100]);
        Assert.Contains("the body of parcel a", Assert.Throws<SpoolException>(() => _spool.Load("a")).Message);
    }

    [Fact]
    public async Task Without_its_folder_the_spool_takes_no_large_body_and_small_ones_still()
    {
        Directory.Delete(Path.Combine(_directory, "spool.db.bodies"));
        await Assert.ThrowsAsync<SpoolException>(() => _spool.CommitAsync(new() { Add = [Make("a", body: Large)] }));
        await _spool.CommitAsync(new() { Add = [Make("a")] });
    }

    [Fact]
    public async Task Bodies_in_files_are_exported_and_imported()
    {
        var (old, rescued, anew) = (
            Path.Combine(_directory, "spool.db"),
            Path.Combine(_directory, "rescued"),
            Path.Combine(_directory, "new.db")
        );
        await _spool.CommitAsync(new() { Add = [Make("a", body: Large), Make("b"), Make("c", body: Large)] });
        File.Delete(Files[0]);
        Assert.Equal(("parcel", 3, 1), SpoolRescue.Export(old, rescued, Stage.Unseen)[0]);
        await Spool.Open(anew, running: true).DisposeAsync();
        SpoolRescue.Import(anew, rescued, Stage.Unseen);
        await using var spool = Spool.Open(anew, running: true);
        Assert.Equal(3, spool.List().Count);
        var whole = new[] { "a", "c" }
            .Where(id =>
                _spool.Find(id) is not null
                && Try(() => spool.Load(id)) is { } found
                && found.Content.Body.Span.SequenceEqual(Large)
            )
            .ToList();
        Assert.Single(whole);

        static (Parcel Parcel, ParcelContent Content)? Try(Func<(Parcel, ParcelContent)?> load)
        {
            try
            {
                return load();
            }
            catch (SpoolException)
            {
                return null;
            }
        }
    }
}
