using System.Security.Cryptography;
using Org.BouncyCastle.Crypto.Engines;
using Org.BouncyCastle.Crypto.Parameters;

namespace PgpTunnel.OpenPgp;

/// <summary>AES key wrap (RFC 3394). The wrapping key is for this once, and is wiped.</summary>
internal static class KeyWrap
{
    public static byte[] Wrap(byte[] kek, byte[] value) => Engine(kek, wraps: true).Wrap(value, 0, value.Length);

    /// <exception cref="Org.BouncyCastle.Crypto.CryptoException">Another key wrapped it, or nobody did.</exception>
    public static byte[] Unwrap(byte[] kek, byte[] value) => Engine(kek, wraps: false).Unwrap(value, 0, value.Length);

    private static AesWrapEngine Engine(byte[] kek, bool wraps)
    {
        var engine = new AesWrapEngine();
        engine.Init(wraps, new KeyParameter(kek));
        CryptographicOperations.ZeroMemory(kek);
        return engine;
    }
}
