using System.Security.Cryptography;
using System.Text;
using Org.BouncyCastle.Bcpg.OpenPgp;

namespace PgpTunnel.OpenPgp;

/// <summary>
/// A file of any size that is sealed as it is written, to a passphrase or to somebody's certificate:
/// <c>SKESK or PKESK, SEIPDv1{ Literal }</c>, both with partial lengths. Any OpenPGP program opens it. What is written is a sealed file
/// only after <see cref="Finish"/>.
/// </summary>
public sealed class SealingStream : Stream
{
    private const byte Aes256 = 9,
        Sha256 = 8,
        IteratedAndSalted = 3;

    private readonly IncrementalHash _sha1 = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
    private readonly Cfb.Encryptor _cfb;
    private readonly PartialBody _sealed,
        _literal;

    // AES works on whole blocks: what is no block yet waits.
    private readonly byte[] _waiting = new byte[Cfb.Block];
    private int _waits;

    private SealingStream(Stream output, SessionKey session)
    {
        _cfb = new(session.Key);
        session.Wipe();
        _sealed = new(Tag.Seipd, part => output.Write(part.Span));
        _sealed.Write([1]);
        _literal = new(Tag.Literal, part => Encrypt(part.Span));
        Span<byte> prefix = stackalloc byte[Cfb.Block + 2];
        RandomNumberGenerator.Fill(prefix[..Cfb.Block]);
        prefix[(Cfb.Block - 2)..Cfb.Block].CopyTo(prefix[Cfb.Block..]); // RFC 9580 5.13.1: the last two octets again
        Encrypt(prefix);
        _literal.Write([(byte)'b', 0, 0, 0, 0, 0]); // binary, no name, no date
    }

    /// <summary>Only who knows the passphrase opens it: AES-256 under iterated SHA-256 of 62 MiB (RFC 9580 5.3, 3.7.1.3).</summary>
    public static SealingStream ToPassphrase(Stream output, string passphrase)
    {
        var salt = RandomNumberGenerator.GetBytes(8);
        var session = new SessionKey(Aes256, GatewayKey.DeriveKey(passphrase, salt, GatewayKey.S2kCount));
        byte[] skesk = [4, Aes256, IteratedAndSalted, Sha256, .. salt, GatewayKey.S2kCount];
        output.Write(new PacketWriter().Packet(Tag.Skesk, skesk).ToArray());
        return new(output, session);
    }

    /// <summary>Only who has the secret key of a certificate opens it.</summary>
    public static SealingStream ToReader(Stream output, ReaderKey reader)
    {
        var session = SessionKey.Random(Aes256);
        output.Write(session.Wrap(reader.Encryption));
        return new(output, session);
    }

    public override void Write(ReadOnlySpan<byte> buffer) => _literal.Write(buffer);

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <summary>Hashes and encrypts, whole blocks at once.</summary>
    private void Encrypt(Span<byte> clear)
    {
        _sha1.AppendData(clear);
        if (_waits > 0)
        {
            var more = Math.Min(Cfb.Block - _waits, clear.Length);
            clear[..more].CopyTo(_waiting.AsSpan(_waits));
            _waits += more;
            clear = clear[more..];
            if (_waits < Cfb.Block)
                return;
            Put(_waiting);
        }
        var whole = clear[..(clear.Length / Cfb.Block * Cfb.Block)];
        Put(whole);
        clear[whole.Length..].CopyTo(_waiting);
        _waits = clear.Length - whole.Length;
    }

    private void Put(Span<byte> clear)
    {
        _cfb.Encrypt(clear);
        _sealed.Write(clear);
    }

    /// <summary>Ends it with the modification detection code (RFC 9580 5.13.1).</summary>
    public void Finish()
    {
        _literal.Finish();
        Encrypt([0xD3, 0x14]);
        Encrypt(_sha1.GetHashAndReset());
        Put(_waiting.AsSpan(0, _waits));
        _sealed.Finish();
    }

    protected override void Dispose(bool disposing)
    {
        _sha1.Dispose();
        _cfb.Dispose();
        CryptographicOperations.ZeroMemory(_waiting);
        base.Dispose(disposing);
    }

    public override bool CanRead => false;
    public override bool CanSeek => false;
    public override bool CanWrite => true;
    public override long Length => throw new NotSupportedException();
    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override void Flush() { } // nothing of it is of use before its end

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    /// <summary>
    /// Opens what <see cref="ToPassphrase"/> has made. What is read of it is to be believed only when this has returned: before its end
    /// nobody knows whether it was changed.
    /// </summary>
    /// <exception cref="OpenPgpException">The passphrase is wrong, or the file is damaged, or no such file.</exception>
    public static void Open(Stream input, string passphrase, Action<Stream> read)
    {
        try
        {
            if (new PgpObjectFactory(input).NextPgpObject() is not PgpEncryptedDataList list)
                throw new OpenPgpException("it is no sealed file");
            var data =
                list.GetEncryptedDataObjects().OfType<PgpPbeEncryptedData>().FirstOrDefault()
                ?? throw new OpenPgpException("it is sealed to a certificate, not to a passphrase: its owner opens it");
            if (!data.IsIntegrityProtected())
                throw new OpenPgpException("nothing protects it from being changed");
            using var clear = data.GetDataStreamRaw(Encoding.UTF8.GetBytes(passphrase));
            if (new PgpObjectFactory(clear).NextPgpObject() is not PgpLiteralData literal)
                throw new OpenPgpException("it is no sealed file");
            using var content = literal.GetInputStream();
            read(content);
            content.CopyTo(Null);
            clear.CopyTo(Null);
            if (!data.Verify())
                throw new OpenPgpException("it was changed, or is damaged");
        }
        catch (Exception e)
            when (e is PgpException or IOException or ArgumentException or InvalidOperationException or FormatException)
        {
            throw new OpenPgpException($"it does not open: is the passphrase right, and the file whole? ({e.Message})");
        }
    }
}
