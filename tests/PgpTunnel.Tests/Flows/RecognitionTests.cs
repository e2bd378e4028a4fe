using System.Text;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

/// <summary>What is a parcel, whatever relays have made of it, and where other mail to the gateway goes.</summary>
public sealed class RecognitionTests : InboundSetting
{
    /// <summary>Relays rewrite what they carry; a parcel is what holds exactly one armored message.</summary>
    [Fact]
    public async Task Recognised_in_whatever_wrapping()
    {
        string Armored() => Encoding.ASCII.GetString(Armor.Encode(Armor.Message, Seal(Header())));
        var head = "From: x@y.example\r\nTo: z@y.example\r\n";
        var base64 = string.Join(
            "\r\n",
            Convert
                .ToBase64String(Encoding.ASCII.GetBytes(Armored()), Base64FormattingOptions.InsertLineBreaks)
                .Split('\n')
                .Select(l => l.TrimEnd('\r'))
        );
        string[] taken =
        [
            $"{head}\r\n{Armored()}",
            $"{head}Content-Type: text/html\r\n\r\n<pre>\r\n{Armored()}</pre>\r\nThis mail was scanned.\r\n",
            $"{head}MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n{base64}\r\n",
            $"{head}MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: "
                + $"quoted-printable\r\n\r\n{Armored().Replace("=", "=3D")}",
            $"{head}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: "
                + $"multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n{Armored()}\r\n--c--\r\n--b\r\n\r\nfooter\r\n--b--\r\n",
        ];
        foreach (var outer in taken)
            Assert.StartsWith("250", await DeliverAsync(Encoding.ASCII.GetBytes(outer)));
        Assert.StartsWith(
            "550 5.7.1",
            await DeliverAsync(
                Encoding.ASCII.GetBytes($"{head}Auto-Submitted: auto-generated\r\n\r\n{Armored()}{Armored()}")
            )
        );
        await _pair.B.WaitAsync(taken.Length);
    }

    [Fact]
    public async Task Peoples_mail_goes_to_the_postmaster_machines_mail_does_not()
    {
        var person = "From: ann@c.example\r\nSubject: is this thing on\r\n\r\nhello\r\n"u8.ToArray();
        Assert.StartsWith("250", await DeliverAsync(person, "<ann@c.example>"));
        var seen = (await _pair.B.WaitAsync(1))[0];
        Assert.Equal("<postmaster@b.example> NOTIFY=NEVER", seen.To[0].ToString());
        Assert.True(seen.Message.AsSpan().EndsWith(person));
        Assert.Contains(
            "\r\nReceived: from client.example ([127.0.0.1]) by gw.b.example (PgpTunnel)\r\n\twith ESMTP; ",
            Encoding.ASCII.GetString(seen.Message)
        );
        Assert.StartsWith("550 5.7.1", await DeliverAsync(person, "<>"));
        Assert.StartsWith(
            "550 5.7.1",
            await DeliverAsync([.. "Auto-Submitted: auto-replied\r\n"u8, .. person], "<ann@c.example>")
        );
        Assert.StartsWith(
            "550 5.7.1",
            await DeliverAsync([.. "Auto-Submitted: notification\r\n"u8, .. person], "<ann@c.example>")
        );
        Assert.StartsWith(
            "250",
            await DeliverAsync([.. "Auto-Submitted: (a person's) No; x=y\r\n"u8, .. person], "<ann@c.example>")
        );
        Assert.StartsWith("250", await DeliverAsync(person, "<ann@c.example>", "<postmaster>"));
        Assert.StartsWith(
            "550 5.1.1",
            await DeliverAsync(person, "<ann@c.example>", "<pgptunnel+0@pgptunnel.b.example>")
        );
        Assert.StartsWith("550 5.1.1", await DeliverAsync(person, "<>", "<pgptunnel+0@pgptunnel.b.example>"));
    }
}
