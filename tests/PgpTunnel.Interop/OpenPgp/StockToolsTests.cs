using System.Text;

namespace PgpTunnel.Interop;

/// <summary>GnuPG 2.2 and Sequoia read what we write, and the other way round: nothing is locked in.</summary>
public sealed class StockToolsTests : IAsyncDisposable
{
    private static readonly byte[] Message = Encoding.UTF8.GetBytes(
        "From: alice@a.example\r\nSubject: for stock tools\r\n\r\ncafé\r\n.dot\r\n"
    );

    private readonly string _home = Directory.CreateTempSubdirectory("pgptunnel-gpg-").FullName;

    private Task<Finished> GpgAsync(byte[]? input, params string[] arguments) =>
        Run.ProgramAsync(
            Need.Program("gpg"),
            ["--homedir", _home, "--batch", "--trust-model", "always", .. arguments],
            input
        );

    private static Task<byte[]> SealAsync(Operators operators) => SealAsync(operators, Message);

    private static async Task<byte[]> SealAsync(Operators operators, byte[] message) =>
        (
            await Run.ProgramAsync(
                Run.Gateway,
                ["seal", "--from", "alice@a.example", "--to", "bob@b.example", "--config", operators.Config("a")],
                message
            )
        )
            .Expect(0)
            .Output;

    private static byte[] Armored(byte[] outer)
    {
        var text = Encoding.ASCII.GetString(outer);
        return Encoding.ASCII.GetBytes(
            text[
                text.IndexOf("-----BEGIN PGP MESSAGE", StringComparison.Ordinal)..(
                    text.IndexOf("-----END PGP MESSAGE-----", StringComparison.Ordinal) + 25
                )
            ]
        );
    }

    [Theory]
    [InlineData("ed25519")]
    [InlineData("p256")]
    [InlineData("rsa3072")]
    public async Task Gpg_and_sq_read_what_seal_makes_and_open_takes_what_gpg_makes(string algorithm)
    {
        Need.Programs("gpg", "sq");
        await using var operators = await Operators.SetUpAsync(algorithm);
        var outer = await SealAsync(operators);

        // our own filter, there and back
        var opened = await Run.ProgramAsync(Run.Gateway, ["open", "--config", operators.Config("b")], outer);
        Assert.Equal(Message, opened.Expect(0).Output);

        // gpg with the gateway's key in its keyring
        var certificate = (await Run.PgpTunnelAsync("key", "export", "--armor", "--config", operators.Config("a")))
            .Expect(0)
            .Output;
        (await GpgAsync(certificate, "--import")).Expect(0);
        (await GpgAsync(await File.ReadAllBytesAsync(operators.KeyFile("b")), "--import")).Expect(0);
        var decrypted = (await GpgAsync(Armored(outer), "--status-fd", "2", "--decrypt")).Expect(0);
        var fingerprint = Path.GetFileNameWithoutExtension(operators.KeyFile("a"));
        Assert.Matches($"VALIDSIG .* {fingerprint.ToUpperInvariant()}", decrypted.Error);
        Assert.Contains("[GNUPG:] DECRYPTION_OKAY", decrypted.Error);
        Assert.Contains(Encoding.UTF8.GetString(Message), decrypted.Text);
        Assert.StartsWith(
            "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\nPgpTunnel-Version: 1\r\n",
            decrypted.Text
        );

        // sizes whose armor would end without padding, were a length not written in five octets
        foreach (var size in new[] { 4_500, 5_000, 6_000, 7_000, 9_000, 20_000 })
        {
            var longer = Encoding.ASCII.GetBytes(
                "Subject: longer\r\n\r\n" + string.Concat(Enumerable.Repeat("another line\r\n", size / 14))
            );
            var read = (
                await GpgAsync(Armored(await SealAsync(operators, longer)), "--status-fd", "2", "--decrypt")
            ).Expect(0);
            Assert.Contains("[GNUPG:] DECRYPTION_OKAY", read.Error);
            Assert.Matches("VALIDSIG ", read.Error);
        }

        // Sequoia
        var (sealedFile, certFile) = (Path.Combine(_home, "sealed"), Path.Combine(_home, "cert"));
        await File.WriteAllBytesAsync(sealedFile, Armored(outer));
        await File.WriteAllBytesAsync(certFile, certificate);
        var sq = (
            await Run.ProgramAsync(
                Need.Program("sq"),
                ["decrypt", "--recipient-key", operators.KeyFile("b"), "--signer-cert", certFile, sealedFile]
            )
        ).Expect(0);
        Assert.Equal(decrypted.Output, sq.Output);
        Assert.Contains("1 good signature", sq.Error);

        // the same inner entity, signed and encrypted by gpg with A's key
        (await GpgAsync(await File.ReadAllBytesAsync(operators.KeyFile("a")), "--import")).Expect(0);
        var recipient = Path.GetFileNameWithoutExtension(operators.KeyFile("b"));
        var made = (
            await GpgAsync(
                decrypted.Output,
                "--sign",
                "--encrypt",
                "--compress-algo",
                "none",
                "--armor",
                "-u",
                fingerprint,
                "-r",
                recipient
            )
        ).Expect(0);
        var reopened = await Run.ProgramAsync(Run.Gateway, ["open", "--config", operators.Config("b")], made.Output);
        Assert.Equal(Message, reopened.Expect(0).Output);
        var compressed = (
            await GpgAsync(
                decrypted.Output,
                "--sign",
                "--encrypt",
                "--compress-algo",
                "zlib",
                "--armor",
                "-u",
                fingerprint,
                "-r",
                recipient
            )
        ).Expect(0);
        (await Run.ProgramAsync(Run.Gateway, ["open", "--config", operators.Config("b")], compressed.Output)).Expect(
            65
        );
    }

    [Theory]
    [InlineData("zone")]
    [InlineData("txt")]
    public async Task The_printed_records_make_the_domain_usable(string format)
    {
        await using var operators = await Operators.SetUpAsync(format: format);
        foreach (var company in new[] { "a", "b" })
        {
            var lookup = (
                await Run.PgpTunnelAsync(
                    "dns",
                    "lookup",
                    $"{company}.example",
                    "--config",
                    operators.Config(company),
                    "--json"
                )
            ).Expect(0);
            Assert.Contains("\"class\": \"Usable\"", lookup.Text);
            Assert.Contains("\"dnssec\": \"Secure\"", lookup.Text);
        }
    }

    /// <summary>Any DNS tool finds the key at its RFC 7929 name, and gpg takes it as it is.</summary>
    [Fact]
    public async Task The_published_key_stands_at_its_rfc_7929_name()
    {
        Need.Programs("gpg", "dig");
        await using var operators = await Operators.SetUpAsync();
        var dig = (
            await Run.ProgramAsync(
                "dig",
                [
                    "+short",
                    "+tcp",
                    "@127.0.53.10",
                    "-p",
                    "5310",
                    "482cd50130d387707e63f260752b99cfe7e61b09fef855e43d3c6a83._openpgpkey.pgptunnel.b.example",
                    "TYPE61",
                ]
            )
        )
            .Expect(0)
            .Text;
        var shown = (
            await GpgAsync(
                Convert.FromBase64String(
                    string.Concat(dig.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
                ),
                "--import-options",
                "show-only",
                "--import",
                "--with-colons"
            )
        )
            .Expect(0)
            .Text;
        Assert.Contains(Path.GetFileNameWithoutExtension(operators.KeyFile("b")).ToUpperInvariant(), shown);
        Assert.Contains("pgptunnel@pgptunnel.b.example", shown);
    }

    public async ValueTask DisposeAsync()
    {
        await Run.ProgramAsync("gpgconf", ["--homedir", _home, "--kill", "all"]);
        Directory.Delete(_home, true);
    }
}
