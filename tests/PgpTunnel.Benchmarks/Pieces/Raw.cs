using System.Buffers.Text;
using System.Security.Cryptography;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Benchmarks;

/// <summary>The limit: what the platform takes for the same octets, AES-256-CFB, SHA-1, SHA-256 and Base64, and nothing else.</summary>
internal sealed class Raw : IDisposable
{
    private readonly Aes _aes = Aes.Create();
    private readonly byte[] _plain,
        _cipher,
        _text,
        _iv = new byte[16];

    public Raw(int size)
    {
        _plain = RandomNumberGenerator.GetBytes(size / 16 * 16);
        _cipher = new byte[_plain.Length];
        _text = new byte[Base64.GetMaxEncodedToUtf8Length(_plain.Length)];
        Seal();
    }

    public int Seal()
    {
        SHA256.HashData(_plain);
        SHA1.HashData(_plain);
        _aes.EncryptCfb(_plain, _iv, _cipher, PaddingMode.None, 128);
        Base64.EncodeToUtf8(_cipher, _text, out _, out var written);
        return written;
    }

    public int Open()
    {
        Base64.DecodeFromUtf8(_text, _cipher, out _, out var written);
        _aes.DecryptCfb(_cipher.AsSpan(0, written), _iv, _plain, PaddingMode.None, 128);
        SHA1.HashData(_plain);
        SHA256.HashData(_plain);
        return written;
    }

    public void Dispose() => _aes.Dispose();
}

/// <summary>Two gateways' keys, and a message between them.</summary>
internal sealed class Correspondence
{
    private const string A = "pgptunnel@pgptunnel.a.example",
        B = "pgptunnel@pgptunnel.b.example";
    private static readonly DateTimeOffset Now = DateTimeOffset.UtcNow;

    private readonly GatewayKey _sender,
        _recipient;
    private readonly PeerKey _peer;
    private readonly SignerKey _signer;
    private readonly byte[] _body;

    public Correspondence(GatewayAlgorithm algorithm, int size)
    {
        (_sender, _recipient) = (
            GatewayKey.Generate(algorithm, A, Now.AddDays(-1)),
            GatewayKey.Generate(algorithm, B, Now.AddDays(-1))
        );
        _peer = Certificate.Read(_recipient.ExportCertificate()).Judge(B, Now).Key!;
        _signer = Certificate.Read(_sender.ExportCertificate()).Judge(A, Now).Signer!;
        _body = RandomNumberGenerator.GetBytes(size);
        Armored = Seal();
    }

    public byte[] Armored { get; }

    /// <summary>The recipient's and the sender's secret keys, for other programs.</summary>
    public IEnumerable<byte[]> SecretKeys => [_sender.ExportSecret(null), _recipient.ExportSecret(null)];

    public string SenderFingerprint => _sender.Fingerprint;

    public string RecipientFingerprint => _recipient.Fingerprint;

    /// <summary>From the body to the armor.</summary>
    public byte[] Seal() => Armor.Encode(Armor.Message, MessageSealer.Seal([_body], _sender, _peer, Now).Octets);

    /// <summary>From the armor to the body, its integrity and signature checked, and its hash for the memory of replays.</summary>
    public int Open()
    {
        var decrypted = MessageOpener.Decrypt(Armor.Decode(Armor.Message, Armored), [_recipient]);
        var body = decrypted.VerifiedBy(_signer, Now, out var why) ?? throw new InvalidOperationException(why);
        return body.Length + decrypted.BodySha256.Length;
    }
}
