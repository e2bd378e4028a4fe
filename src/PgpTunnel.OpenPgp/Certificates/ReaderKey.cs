namespace PgpTunnel.OpenPgp;

/// <summary>The certificate of somebody who is to read what is kept. Only <see cref="Certificate.JudgeReader"/> makes one.</summary>
public sealed class ReaderKey
{
    internal ReaderKey(PublicKey encryption) => Encryption = encryption;

    internal PublicKey Encryption { get; }
}
