using System.Security.Cryptography;
using System.Text;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

/// <summary>
/// When a parcel says it was signed, against when it is dated and when its key ended: a stolen key that has expired gains nothing by
/// another date.
/// </summary>
public sealed class SigningTimeTests : InboundSetting
{
    [Theory]
    [InlineData(0, true)]
    [InlineData(59, true)]
    [InlineData(-59, true)]
    [InlineData(61, false)]
    [InlineData(-61, false)]
    [InlineData(-60 * 24 * 30, false)]
    public async Task The_signature_and_the_date_agree_within_an_hour(int minutes, bool taken)
    {
        _pair.World.Time.Advance(TimeSpan.FromHours(2)); // the key is older than any of them but the last
        var dated = Header() with { Date = Now.AddHours(-1) };
        var signed = dated.Date.AddMinutes(minutes);
        var octets = MessageSealer
            .Seal([Bodies.Write(dated, [Encoding.ASCII.GetBytes(Message)])], _pair.A.Key, PeerB(), signed)
            .Octets.ToArray();
        var reply = await DeliverAsync(Outer(octets));
        Assert.True(taken ? reply.StartsWith("250", StringComparison.Ordinal) : reply == Uniform, reply);
    }

    /// <summary>One of the two clocks is wrong, and nothing else: that is no reason to bounce mail.</summary>
    [Theory]
    [InlineData(50, "250")]
    [InlineData(70, "451 4.7.0")]
    [InlineData(60 * 24 * 3, "451 4.7.0")]
    public async Task What_comes_from_the_future_waits(int minutes, string expected)
    {
        var signed = Now.AddMinutes(minutes);
        var dated = Header() with { Date = signed, Expires = signed.AddDays(7) };
        var octets = MessageSealer
            .Seal([Bodies.Write(dated, [Encoding.ASCII.GetBytes(Message)])], _pair.A.Key, PeerB(), signed)
            .Octets.ToArray();
        Assert.StartsWith(expected, await DeliverAsync(Outer(octets)));
    }

    /// <summary>Its owner may have forgotten to prolong it and can mend that; what was signed while it lasted is as good as ever.</summary>
    [Fact]
    public async Task What_was_signed_after_the_key_had_expired_waits_and_what_was_backdated_is_refused()
    {
        var keys = CertificateKeys.Ed25519(Now.AddDays(-10));
        var parts = new CertificateParts(keys, Now.AddDays(-10))
        {
            UserId = _pair.A.Configuration.Gateway,
            Lifetime = TimeSpan.FromDays(10) + TimeSpan.FromHours(12),
        };
        var (zone, name) = (_pair.World.Zone("a.example"), DomainName.Parse("_pgptunnel.a.example"));
        zone.Remove(name, RecordType.TXT);
        zone.Remove(PolicyRecord.CertificateName(_pair.A.Configuration.Gateway), RecordType.OPENPGPKEY);
        var fingerprint = Convert.ToHexStringLower(keys.Primary.Public.Fingerprint);
        zone.Add(name, RecordType.TXT, TestWorld.Txt($"v=PGPT1; m=enforce; fp={fingerprint}"));
        zone.Add(
            PolicyRecord.CertificateName(_pair.A.Configuration.Gateway),
            RecordType.OPENPGPKEY,
            [.. parts.Packets().SelectMany(p => p)]
        );

        InnerHeader Dated(DateTimeOffset date) =>
            Header() with
            {
                Sender = ("a.example", fingerprint),
                Date = date,
                Expires = date.AddDays(7),
            };
        Task<string> SignedAsync(InnerHeader header, DateTimeOffset signed) =>
            DeliverAsync(Outer(Sealed(Bodies.Write(header, [Encoding.ASCII.GetBytes(Message)]), keys.Signing, signed)));
        Assert.StartsWith("250", await SignedAsync(Dated(Now), Now));
        _pair.World.Time.Advance(TimeSpan.FromDays(1));
        Assert.StartsWith("451 4.7.5 the key of a.example has expired", await SignedAsync(Dated(Now), Now));
        Assert.Equal(Uniform, await SignedAsync(Dated(Now), Now.AddHours(-13)));
        Assert.Equal(
            Uniform,
            await DeliverAsync(
                Outer(
                    Sealed(
                        Bodies.Write(Dated(Now), [Encoding.ASCII.GetBytes(Message)]),
                        keys.Signing,
                        Now,
                        new string('1', 40)
                    )
                )
            )
        ); // for somebody else, too
        Assert.StartsWith("250", await SignedAsync(Dated(Now.AddHours(-13)), Now.AddHours(-13)));
    }

    /// <summary>As <see cref="MessageSealer"/> does it, by any key.</summary>
    private byte[] Sealed(byte[] body, SecretKey signing, DateTimeOffset created, string? intended = null)
    {
        static byte[] Packet(int tag, params byte[][] parts) =>
            new PacketWriter().Packet(tag, [.. parts.SelectMany(p => p)]).ToArray();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(body);
        var signature = SignatureMaker.Packet(
            SignatureType.Binary,
            signing,
            hash,
            8,
            new SubpacketWriter()
                .Created(created)
                .Issuer(signing.Public)
                .Add(35, [4, .. Convert.FromHexString(intended ?? _pair.B.Key.Fingerprint)])
        );
        var onePass = Packet(
            Tag.OnePass,
            [
                3,
                (byte)SignatureType.Binary,
                8,
                (byte)signing.Public.Algorithm,
                .. signing.Public.Fingerprint.AsSpan(12),
                1,
            ]
        );
        var prefix = RandomNumberGenerator.GetBytes(16);
        byte[] clear =
        [
            .. prefix,
            prefix[14],
            prefix[15],
            .. onePass,
            .. Packet(Tag.Literal, "b\0\0\0\0\0"u8.ToArray(), body),
            .. signature,
            0xD3,
            0x14,
        ];
        clear = [.. clear, .. SHA1.HashData(clear)];
        var session = SessionKey.Random(9);
        Cfb.Encrypt(session.Key, clear);
        return [.. session.Wrap(PeerB().Encryption), .. Packet(Tag.Seipd, [1], clear)];
    }
}
