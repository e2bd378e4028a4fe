namespace PgpTunnel.OpenPgp;

/// <summary>An elliptic curve as key packets name it (RFC 9580 9.2).</summary>
/// <param name="oid">The octets of its object identifier, hex.</param>
/// <param name="prefix">What stands before a point: 0x40 native, 0x04 uncompressed (RFC 9580 11.2).</param>
/// <param name="pointSize">Octets of a point without it.</param>
/// <param name="scalarSize">Octets of a secret.</param>
internal abstract class Curve(string name, string oid, byte prefix, int pointSize, int scalarSize)
{
    private readonly byte[] _oid = Convert.FromHexString(oid);

    public string Name => name;
    public int ScalarSize => scalarSize;

    /// <summary>Its object identifier, length octet first.</summary>
    public byte[] Oid => [(byte)_oid.Length, .. _oid];

    /// <summary>A new secret and its point.</summary>
    public abstract (byte[] Scalar, byte[] Point) Make();

    public abstract byte[] PointOf(byte[] scalar);

    /// <summary>The fields of a public key on this curve, as an algorithm with several curves begins them.</summary>
    public PacketWriter WriteKey(byte[] point) => new PacketWriter().Bytes(Oid).Bytes(WritePoint(point));

    public byte[] WritePoint(byte[] point) => new PacketWriter().Mpi([prefix, .. point]).ToArray();

    /// <exception cref="OpenPgpException">Not the form of a point of this curve.</exception>
    public byte[] ReadPoint(ref PacketReader fields)
    {
        var encoded = fields.Mpi();
        if (encoded.IsEmpty)
            throw new OpenPgpException("an elliptic-curve point is missing");
        return encoded[0] == prefix && encoded.Length == 1 + pointSize
            ? encoded[1..].ToArray()
            : throw new OpenPgpException("an elliptic-curve point has the wrong form");
    }

    /// <summary>A curve, one of those that the algorithm has, and the point on it.</summary>
    /// <exception cref="OpenPgpException">Another curve, or no point of it.</exception>
    public static (T Curve, byte[] Point) ReadKey<T>(ref PacketReader fields, IEnumerable<T> accepted)
        where T : Curve
    {
        var oid = fields.Take(fields.U8()).ToArray();
        var curve =
            accepted.FirstOrDefault(c => c._oid.AsSpan().SequenceEqual(oid))
            ?? throw new OpenPgpException("a key on a curve that is not accepted");
        return (curve, curve.ReadPoint(ref fields));
    }
}

/// <summary>A curve on which two agree on a secret.</summary>
internal abstract class AgreementCurve(string name, string oid, byte prefix, int pointSize, int scalarSize)
    : Curve(name, oid, prefix, pointSize, scalarSize)
{
    /// <summary>The shared secret with another's point.</summary>
    /// <exception cref="System.Security.Cryptography.CryptographicException">It is none of the curve, or of low order.</exception>
    public abstract byte[] Agree(byte[] scalar, byte[] point);
}
