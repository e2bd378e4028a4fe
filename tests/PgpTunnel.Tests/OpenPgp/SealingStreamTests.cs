using System.Security.Cryptography;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

/// <summary>Files of any size under a passphrase: what goes in comes out, and nothing else does.</summary>
public sealed class SealingStreamTests
{
    private const string Passphrase = "correct horse, Batterie, 電池";

    private static byte[] Sealed(byte[] clear, int piece)
    {
        var output = new MemoryStream();
        using (var sealing = SealingStream.ToPassphrase(output, Passphrase))
        {
            foreach (var part in clear.Chunk(piece))
                sealing.Write(part);
            sealing.Finish();
        }
        return output.ToArray();
    }

    private static byte[] Open(byte[] octets, string passphrase = Passphrase)
    {
        var clear = new MemoryStream();
        SealingStream.Open(new MemoryStream(octets), passphrase, s => s.CopyTo(clear));
        return clear.ToArray();
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 1)]
    [InlineData(65_530, 17)]
    [InlineData(65_536, 65_536)]
    [InlineData(65_537, 4099)]
    [InlineData(1_000_003, 81_920)]
    public void What_goes_in_comes_out(int size, int piece)
    {
        var clear = RandomNumberGenerator.GetBytes(size);
        Assert.Equal(clear, Open(Sealed(clear, piece)));
    }

    [Fact]
    public void Another_passphrase_opens_nothing() =>
        Assert.Throws<OpenPgpException>(() => Open(Sealed(new byte[100], 100), "wrong"));

    [Fact]
    public void No_octet_can_be_changed_or_missing()
    {
        var octets = Sealed(RandomNumberGenerator.GetBytes(70_000), 70_000);
        foreach (var at in new[] { 3, 20, 40, 600, 66_000, octets.Length - 1 })
        {
            var changed = (byte[])octets.Clone();
            changed[at] ^= 1;
            Assert.Throws<OpenPgpException>(() => Open(changed));
        }
        foreach (var length in new[] { 0, 10, 60, 5000, 65_600, octets.Length - 1 })
            Assert.Throws<OpenPgpException>(() => Open(octets[..length]));
    }

    [Fact]
    public void What_is_not_ended_does_not_open()
    {
        var output = new MemoryStream();
        using (var sealing = SealingStream.ToPassphrase(output, Passphrase))
            sealing.Write(new byte[200_000]);
        Assert.Throws<OpenPgpException>(() => Open(output.ToArray()));
    }
}
