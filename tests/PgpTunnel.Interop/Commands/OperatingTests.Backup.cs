namespace PgpTunnel.Interop;

/// <summary>Keys out to a safe place, and back.</summary>
public sealed partial class OperatingTests
{
    [Fact]
    public async Task A_backup_brings_back_what_is_missing_and_what_was_revoked_stays_revoked()
    {
        await using var lab = await Lab.CreateAsync();
        var (folder, backup) = (Path.Combine(lab.Directory, "a", "keys"), Path.Combine(lab.Directory, "keys.asc"));
        var stolen = Path.GetFileNameWithoutExtension(Directory.GetFiles(folder, "*.key").Single());
        (await lab.PgpTunnelAsync("key", "generate")).Expect(0);
        (await lab.PgpTunnelAsync("key", "revoke", stolen, "--yes")).Expect(0);
        var records = (await lab.PgpTunnelAsync("dns", "records")).Expect(0).Text;
        Assert.Contains($"xfp={stolen}", records);
        (await lab.PgpTunnelAsync("key", "backup", backup)).Expect(0);
        Directory.Delete(folder, true);
        (await lab.PgpTunnelAsync("key", "import", backup)).Expect(0);
        Assert.Equal(records, (await lab.PgpTunnelAsync("dns", "records")).Expect(0).Text);
        // Beside what is there: the revocation certificates, and one of two keys.
        var keys = Directory.GetFiles(folder, "*.key");
        File.Delete(keys[0]);
        Assert.Contains(
            Path.GetFileNameWithoutExtension(keys[0]),
            (await lab.PgpTunnelAsync("key", "import", backup)).Expect(0).Text
        );
        Assert.Contains("there already", (await lab.PgpTunnelAsync("key", "import", backup)).Expect(73).Error);
    }
}
