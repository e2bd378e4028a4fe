using System.Text.Json.Nodes;

namespace PgpTunnel.Interop;

/// <summary>A disk of its own for a gateway's spool, so small that it fills.</summary>
internal sealed class SmallDisk : IAsyncDisposable
{
    private SmallDisk(string path) => Path = path;

    public string Path { get; }

    /// <summary>Mounts it and puts company A's spool there; skips the test where that cannot be done.</summary>
    /// <param name="options">Of tmpfs.</param>
    public static async Task<SmallDisk> MountAsync(Lab lab, string options)
    {
        Need.Root();
        var disk = Directory.CreateDirectory(System.IO.Path.Combine(lab.Directory, "disk")).FullName;
        if ((await Run.ProgramAsync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", disk])).Code != 0)
            Assert.Skip("a tmpfs cannot be mounted here");
        lab.Change(c =>
        {
            c["spool"] = $"sqlite:{disk}/spool.db";
            c["limits"] = new JsonObject { ["freeDisk"] = 0 }; // the disk itself shall say it
        });
        return new SmallDisk(disk);
    }

    /// <summary>Makes empty files until there can be no more.</summary>
    public void TakeInodes()
    {
        try
        {
            for (var i = 0; i < 100; i++)
                File.WriteAllText(System.IO.Path.Combine(Path, $"full{i}"), "");
        }
        catch (IOException)
        {
            return;
        }
        Assert.Fail("the disk takes any number of files");
    }

    public void GiveInodesBack()
    {
        foreach (var file in Directory.EnumerateFiles(Path, "full*"))
            File.Delete(file);
    }

    public async ValueTask DisposeAsync() => await Run.ProgramAsync("umount", ["-l", Path]);
}
