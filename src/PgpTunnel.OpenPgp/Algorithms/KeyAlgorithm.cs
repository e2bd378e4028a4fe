using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>Public-key algorithm ids (RFC 9580 9.1) that gateways use. What each does is in the file of its name.</summary>
internal static class KeyAlgorithm
{
    public const int Rsa = 1,
        Ecdh = 18,
        Ecdsa = 19,
        EdDsaLegacy = 22,
        X25519 = 25,
        Ed25519 = 27;

    private delegate PublicPart Reader(ref PacketReader fields);

    private static readonly Dictionary<int, Reader> Readers = new()
    {
        [Rsa] = RsaPublic.Read,
        [Ecdh] = EcdhPublic.Read,
        [Ecdsa] = EcdsaPublic.Read,
        [EdDsaLegacy] = EdDsaLegacyPublic.Read,
        [X25519] = X25519Public.Read,
        [Ed25519] = Ed25519Public.Read,
    };

    /// <summary>The fields of a public key of that algorithm (RFC 9580 5.5.5); the reader is left behind them.</summary>
    /// <exception cref="OpenPgpException">It is not accepted, or these are none of its keys.</exception>
    public static PublicPart Read(int algorithm, ref PacketReader fields) =>
        Readers.TryGetValue(algorithm, out var read)
            ? read(ref fields)
            : throw new OpenPgpException($"a key of algorithm {algorithm}, which is not accepted");
}

/// <summary>What an algorithm has in a public key, and does with it.</summary>
internal abstract class PublicPart
{
    /// <summary>What people call it: <c>Ed25519</c>, <c>P-256</c>, <c>RSA-3072</c>.</summary>
    public abstract string Name { get; }

    public virtual bool CanSign => false;
    public virtual bool CanEncrypt => false;

    /// <summary>The hash (RFC 9580 9.5) that its own signatures are made by.</summary>
    public virtual int HashId => 8;

    /// <summary>Why it is too weak to be used, or null.</summary>
    public virtual string? Weakness => null;

    /// <summary>Checks a signature over a finished digest; the reader is left behind its fields.</summary>
    public virtual bool Verify(HashAlgorithmName hash, byte[] digest, ref PacketReader fields) => false;

    /// <summary>The fields of a PKESK that only the holder of the key opens (RFC 9580 5.1).</summary>
    /// <param name="whole">The key of which this is the part.</param>
    public virtual byte[] Wrap(SessionKey session, PublicKey whole) =>
        throw new InvalidOperationException("this key does not encrypt");

    /// <summary>Reads what <see cref="SecretPart.Write"/> wrote.</summary>
    /// <exception cref="OpenPgpException">It does not belong to this key.</exception>
    public abstract SecretPart ReadSecret(ref PacketReader fields);

    protected static OpenPgpException Foreign() => new("the secret key does not belong to its public key");
}

/// <summary>What an algorithm has in a secret key. Disposing overwrites it.</summary>
internal abstract class SecretPart : IDisposable
{
    /// <summary>The signature fields over a finished digest.</summary>
    public virtual byte[] Sign(HashAlgorithmName hash, byte[] digest) =>
        throw new InvalidOperationException("this key does not sign");

    /// <summary>The session key in the fields of a PKESK; null when anything about them is wrong.</summary>
    /// <param name="whole">The public key that goes with this.</param>
    public virtual SessionKey? Unwrap(ref PacketReader fields, PublicKey whole) => null;

    /// <summary>The secret fields (RFC 9580 5.5.5).</summary>
    public abstract byte[] Write();

    public abstract void Dispose();
}

/// <summary>A key just made.</summary>
/// <param name="Fields">Its public fields, as a packet has them.</param>
internal sealed record NewKey(int Algorithm, byte[] Fields, SecretPart Secret);
