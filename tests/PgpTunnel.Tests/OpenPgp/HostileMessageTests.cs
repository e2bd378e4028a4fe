using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

public class HostileMessageTests
{
    private static readonly DateTimeOffset Now = DateTimeOffset.FromUnixTimeSeconds(1_790_000_000);
    private static string Folder => Path.Combine(AppContext.BaseDirectory, "Hostile");

    private static (GatewayKey Signer, GatewayKey Reader) Keys() =>
        (
            GatewayKey.ReadSecret(File.ReadAllBytes(Path.Combine(Folder, "signer.key")), null),
            GatewayKey.ReadSecret(File.ReadAllBytes(Path.Combine(Folder, "reader.key")), null)
        );

    private static (string Verdict, long Octets, TimeSpan Cpu) Open(byte[] octets, GatewayKey signer, GatewayKey reader)
    {
        var (allocated, cpu) = (GC.GetAllocatedBytesForCurrentThread(), Environment.CpuUsage.TotalTime);
        string verdict;
        try
        {
            var peer = Certificate.Read(signer.ExportCertificate()).Judge(signer.UserId, Now).Key!;
            verdict = MessageOpener.Decrypt(octets, [reader]).VerifiedBy(peer, Now, out var why) is null
                ? $"not verified: {why}"
                : "verified";
        }
        catch (Exception e) when (e is OpenPgpException or NoKeyException)
        {
            verdict = e.Message;
        }
        return (verdict, GC.GetAllocatedBytesForCurrentThread() - allocated, Environment.CpuUsage.TotalTime - cpu);
    }

    /// <summary>Version 0.1 took other formats; what it has taken and not handed on yet is read by what it was taken by.</summary>
    [Theory]
    [InlineData("good")]
    [InlineData("literal-format-text")]
    [InlineData("literal-format-utf8")]
    public void What_was_verified_when_it_came_is_still_read(string name)
    {
        var octets = File.ReadAllBytes(Path.Combine(Folder, $"{name}.pgp"));
        Assert.False(MessageOpener.ReadVerified(octets, [Keys().Reader]).IsEmpty);
    }

    [Fact]
    public void Every_vector_in_the_folder_is_refused_but_the_good_one()
    {
        if (Environment.GetEnvironmentVariable("PGPTUNNEL_WRITE_VECTORS") is { Length: > 0 } target)
            WriteMissing(target);
        var (signer, reader) = Keys();
        var files = Directory.EnumerateFiles(Folder, "*.pgp").ToList();
        Assert.True(files.Count > 50);
        foreach (var file in files)
        {
            var octets = File.ReadAllBytes(file);
            var (verdict, allocated, _) = Open(octets, signer, reader);
            Assert.True(
                (verdict == "verified") == (Path.GetFileName(file) == "good.pgp"),
                $"{Path.GetFileName(file)}: {verdict}"
            );
            Assert.True(
                allocated < 200_000 + 20L * octets.Length,
                $"{Path.GetFileName(file)}: {allocated} octets allocated for {octets.Length}"
            );
        }
    }

    [Fact]
    public void The_generator_makes_what_the_folder_holds()
    {
        var (signer, reader) = Keys();
        foreach (var (name, octets) in HostileMessages.Make(signer, reader, Now))
        {
            Assert.True(
                File.Exists(Path.Combine(Folder, $"{name}.pgp")),
                $"{name}.pgp is missing; PGPTUNNEL_WRITE_VECTORS writes it"
            );
            Assert.True((Open(octets, signer, reader).Verdict == "verified") == (name == "good"), name);
        }
    }

    [Fact]
    public async Task Over_a_socket_they_all_have_one_answer()
    {
        await using var pair = await Pair.CreateAsync();
        var now = pair.World.Time.GetUtcNow();
        foreach (var (name, octets) in HostileMessages.Make(pair.A.Key, pair.B.Key, now))
        {
            if (octets.Length == 0)
                continue;
            byte[] outer =
            [
                .. OuterMessage
                    .Build("pgptunnel@pgptunnel.a.example", "pgptunnel@pgptunnel.b.example", "t", now, octets)
                    .SelectMany(p => p.ToArray()),
            ];
            var reply = (
                await Company.SendAsync(
                    pair.B.Gateway.InboundServer!.EndPoint,
                    "<pgptunnel+0@pgptunnel.a.example>",
                    ["<pgptunnel@pgptunnel.b.example>"],
                    outer
                )
            )[0]
                .ToString();
            Assert.True(reply == "550 5.7.5 the parcel does not open and verify", $"{name}: {reply}");
        }
        Assert.DoesNotContain("alarm=true", pair.B.Log.ToString());
        Assert.Empty(pair.B.Received);
        Assert.DoesNotContain("event=error", pair.B.Log.ToString());
    }

    [Fact]
    public void Session_keys_of_ten_thousand_messages_are_all_different()
    {
        var (signer, reader) = Keys();
        var peer = Certificate.Read(reader.ExportCertificate()).Judge(reader.UserId, Now).Key!;
        var seen = new HashSet<string>();
        for (var i = 0; i < 10_000; i++)
        {
            var message = MessageSealer.Seal([new byte[] { 1 }], signer, peer, Now);
            var packets = new PacketReader(message.Octets.Span);
            var pkesk = packets.Packet(out _);
            var id = BinaryPrimitives.ReadUInt64BigEndian(pkesk[1..]);
            Assert.True(
                seen.Add(
                    Convert.ToHexString(
                        SessionKey.Unwrap(pkesk, reader.Decrypting.First(d => d.Public.KeyId == id))!.Key
                    )
                )
            );
        }
    }

    /// <summary>The keys, when there are none, and the messages that are not there: those that are stay as they are.</summary>
    private static void WriteMissing(string target)
    {
        Directory.CreateDirectory(target);
        GatewayKey Key(string name, string userId)
        {
            var file = Path.Combine(target, name);
            if (!File.Exists(file))
                File.WriteAllBytes(
                    file,
                    GatewayKey.Generate(GatewayAlgorithm.Ed25519, userId, Now.AddDays(-1)).ExportSecret(null)
                );
            return GatewayKey.ReadSecret(File.ReadAllBytes(file), null);
        }
        var (signer, reader) = (
            Key("signer.key", "pgptunnel@pgptunnel.a.example"),
            Key("reader.key", "pgptunnel@pgptunnel.b.example")
        );
        foreach (var (name, octets) in HostileMessages.Make(signer, reader, Now))
            if (!File.Exists(Path.Combine(target, $"{name}.pgp")))
                File.WriteAllBytes(Path.Combine(target, $"{name}.pgp"), octets);
    }
}
