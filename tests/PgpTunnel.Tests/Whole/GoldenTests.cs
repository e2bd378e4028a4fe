using System.Text;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

/// <summary>
/// Sealed messages that must open for ever, and that another implementation can test itself with. A case is a folder in Golden/:
/// recipient.key, sender.asc (certificate), outer.eml, message.eml, envelope.txt.
/// </summary>
public class GoldenTests
{
    private static string Folder => Path.Combine(AppContext.BaseDirectory, "Golden");

    public static TheoryData<string> Cases =>
        [.. Directory.EnumerateDirectories(Folder).Select(d => Path.GetFileName(d)!).Order()];

    [Theory, MemberData(nameof(Cases))]
    public void Opens_to_the_same_octets(string name)
    {
        byte[] Read(string file) => File.ReadAllBytes(Path.Combine(Folder, name, file));
        var key = GatewayKey.ReadSecret(Read("recipient.key"), null);
        var decrypted = MessageOpener.Decrypt(
            Armor.Decode(Armor.Message, OuterMessage.FindParcel(Read("outer.eml"))!.Value.Span),
            [key]
        );
        var (header, message) = ParcelBody.Read(decrypted.UnverifiedBody, ours: false);
        Assert.Equal(Read("message.eml"), message.ToArray());
        Assert.Equal(
            Encoding.UTF8.GetString(Read("envelope.txt")).ReplaceLineEndings("\n").TrimEnd(),
            $"{header.Id}\n{header.Sender.Domain} {header.Recipient.Domain}\n{header.MailFrom}\n{string.Join('\n', header.RcptTo)}"
        );
        var judged = Certificate
            .Read(Armor.Decode(Armor.PublicKeyBlock, Read("sender.asc")))
            .Judge($"pgptunnel@pgptunnel.{header.Sender.Domain}", header.Date);
        Assert.True(decrypted.VerifiedBy(judged.Signer!, header.Date, out var why) is not null, why);
        Assert.Equal(header.Recipient.Fingerprint, decrypted.KeyFingerprint);
        Assert.Equal(header.Sender.Fingerprint, judged.Signer!.Fingerprint);
        var octets = Armor.Decode(Armor.Message, Read("outer.eml"));
        octets[^1] ^= 1;
        Assert.Throws<OpenPgpException>(() => MessageOpener.Decrypt(octets, [key]));
    }
}
