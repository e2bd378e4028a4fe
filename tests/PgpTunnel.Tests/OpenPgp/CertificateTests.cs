using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

/// <summary>
/// Certificates judged: each refusal with its reason. The hostile ones are files, which <see cref="HostileCertificates"/> makes.
/// </summary>
public class CertificateTests
{
    private const string Gateway = HostileCertificates.Gateway;
    private static readonly DateTimeOffset Now = DateTimeOffset.FromUnixTimeSeconds(1_790_000_000);
    private static readonly GatewayKey Key = GatewayKey.Generate(GatewayAlgorithm.Ed25519, Gateway, Now.AddDays(-1));
    private static string Folder => Path.Combine(AppContext.BaseDirectory, "Hostile", "certificates");

    /// <summary>"usable", or why not.</summary>
    private static string Verdict(byte[] octets)
    {
        try
        {
            return Certificate.Read(octets).Judge(Gateway, Now).Refusal ?? "usable";
        }
        catch (OpenPgpException e)
        {
            return e.Message;
        }
    }

    [Fact]
    public void Every_certificate_in_the_folder_has_its_verdict()
    {
        if (Environment.GetEnvironmentVariable("PGPTUNNEL_WRITE_VECTORS") is { Length: > 0 } target)
            WriteAnew(Path.Combine(target, "certificates"));
        var verdicts = File.ReadAllLines(Path.Combine(Folder, "verdicts.txt"))
            .Select(l => l.Split(": ", 2))
            .ToDictionary(l => l[0], l => l[1]);
        var files = Directory.EnumerateFiles(Folder, "*.pgp").ToList();
        Assert.True(files.Count > 60);
        Assert.All(verdicts.Keys, name => Assert.Contains(Path.Combine(Folder, name + ".pgp"), files));
        foreach (var file in files)
        {
            var octets = File.ReadAllBytes(file);
            var before = GC.GetAllocatedBytesForCurrentThread();
            var verdict = Verdict(octets);
            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Same(
                Path.GetFileNameWithoutExtension(file),
                verdicts.GetValueOrDefault(Path.GetFileNameWithoutExtension(file), ""),
                verdict
            );
            Assert.True(
                allocated < 200_000 + 20L * octets.Length,
                $"{file}: {allocated} octets allocated for {octets.Length}"
            );
        }
    }

    [Fact]
    public void The_generator_makes_what_the_folder_holds()
    {
        foreach (var (name, verdict, octets) in HostileCertificates.Make(Now))
        {
            Assert.True(
                File.Exists(Path.Combine(Folder, $"{name}.pgp")),
                $"{name}.pgp is missing; PGPTUNNEL_WRITE_VECTORS writes it"
            );
            Same(name, verdict, Verdict(octets));
        }
    }

    private static void Same(string name, string wanted, string verdict)
    {
        Assert.True((wanted == "usable") == (verdict == "usable"), $"{name}: {verdict}");
        Assert.True(verdict.Contains(wanted, StringComparison.Ordinal), $"{name}: {verdict}, not {wanted}");
    }

    private static void WriteAnew(string target)
    {
        Directory.CreateDirectory(target);
        var all = HostileCertificates.Make(Now).ToList();
        foreach (var (name, _, octets) in all)
            File.WriteAllBytes(Path.Combine(target, $"{name}.pgp"), octets);
        File.WriteAllLines(Path.Combine(target, "verdicts.txt"), all.Select(c => $"{c.Name}: {c.Verdict}"));
    }

    [Fact]
    public void Our_own_export_is_usable_and_holds_no_spool_subkey()
    {
        Assert.Equal("usable", Verdict(Key.ExportCertificate()));
        Assert.Equal(Key.Fingerprint, Certificate.Read(Key.ExportCertificate()).Fingerprint);
    }

    [Theory]
    [InlineData("pgptunnel@pgptunnel.B.example", true)]
    [InlineData("PGPTUNNEL@pgptunnel.b.example", false)]
    [InlineData("pgptunnel@pgptunnel.c.example", false)]
    [InlineData("gptunnel@pgptunnel.b.example", false)]
    public void The_user_id_must_be_the_gateway(string gateway, bool usable) =>
        Assert.Equal(usable, Certificate.Read(Key.ExportCertificate()).Judge(gateway, Now).Key is not null);

    [Theory]
    [InlineData("Gateway of B <pgptunnel@pgptunnel.b.example>", true)]
    [InlineData("<pgptunnel@pgptunnel.b.example>", true)]
    [InlineData("pgptunnel@pgptunnel.b.example <other@c.example>", false)]
    [InlineData("<other@c.example> <pgptunnel@pgptunnel.b.example>", false)]
    [InlineData("Gateway <pgptunnel@pgptunnel.b.example> (main)", false)]
    public void User_ids_with_names_end_in_exactly_one_address(string userId, bool usable) =>
        Assert.Equal(
            usable,
            Certificate
                .Read(GatewayKey.Generate(GatewayAlgorithm.Ed25519, userId, Now.AddDays(-1)).ExportCertificate())
                .Judge(Gateway, Now)
                .Key
                is not null
        );

    [Fact]
    public void What_a_certificate_signed_before_it_expired_still_verifies_and_a_revoked_one_verifies_nothing()
    {
        var parts = new CertificateParts(CertificateKeys.Ed25519(Now.AddDays(-10)), Now.AddDays(-10))
        {
            Lifetime = TimeSpan.FromDays(9),
        };
        var expired = Certificate.Read([.. parts.Packets().SelectMany(p => p)]).Judge(Gateway, Now);
        Assert.Null(expired.Key);
        Assert.NotNull(expired.Signer);
        Assert.Equal(Now.AddDays(-1), Assert.Single(expired.Signer.Signing).Until);
        var revoked = Certificate
            .Read([.. parts.Packets().SelectMany(p => p), .. parts.RevokesKey(parts.Keys.Primary, Now)])
            .Judge(Gateway, Now);
        Assert.Null(revoked.Key);
        Assert.Null(revoked.Signer);
    }

    [Theory]
    [InlineData(2048, "65537", "outside 3072")]
    [InlineData(3072, "3", "exponent")]
    [InlineData(3072, "65538", "exponent")]
    public void Weak_rsa_keys_are_refused_by_name(int bits, string exponent, string why)
    {
        var modulus = new byte[bits / 8];
        new System.Random(bits).NextBytes(modulus);
        (modulus[0], modulus[^1]) = ((byte)(modulus[0] | 0x80), (byte)(modulus[^1] | 1));
        var body = new PacketWriter()
            .U8(4)
            .U32(1)
            .U8(KeyAlgorithm.Rsa)
            .Mpi(modulus)
            .Mpi(System.Numerics.BigInteger.Parse(exponent).ToByteArray(true, true))
            .ToArray();
        Assert.Contains(why, PublicKey.Read(body).Part.Weakness);
    }

    [Theory]
    [InlineData("pgptunnel@xn--bcher-kva.example", true)]
    [InlineData("pgptunnel@b\u00FCcher.example", true)]
    [InlineData("Gate <pgptunnel@B\u00DCCHER.Example>", true)]
    [InlineData("pgptunnel@BUCHER.example", false)]
    public void A_User_ID_names_the_same_domain_however_it_is_written(string userId, bool same) =>
        Assert.Equal(
            same,
            GatewayKey
                .Generate(GatewayAlgorithm.Ed25519, userId, DateTimeOffset.UnixEpoch)
                .IsFor("pgptunnel@xn--bcher-kva.example")
        );

    [Fact]
    public void Random_octets_and_flipped_certificates_throw_nothing_else()
    {
        var good = Key.ExportCertificate();
        var random = new System.Random(7);
        for (var i = 0; i < 5000; i++)
        {
            var octets = (byte[])good.Clone();
            for (var j = random.Next(1, 4); j > 0; j--)
                octets[random.Next(octets.Length)] = (byte)random.Next(256);
            try
            {
                Certificate
                    .Read(octets.AsSpan(0, random.Next(octets.Length / 2, octets.Length + 1)))
                    .Judge(Gateway, Now);
            }
            catch (OpenPgpException) { }
        }
    }
}
