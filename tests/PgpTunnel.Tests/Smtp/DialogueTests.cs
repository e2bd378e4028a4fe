using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>Plays the files in Dialogues/ against a server; see the README there.</summary>
public class DialogueTests
{
    public static TheoryData<string> Files =>
        [
            .. Directory
                .EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "Dialogues"), "*.txt")
                .Select(f => Path.GetFileName(f)!)
                .Where(f => f != "README.txt")
                .Order(),
        ];

    [Theory, MemberData(nameof(Files))]
    public async Task Plays_as_written(string file)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var certificate = new CertificateRequest("CN=mx.example", key, HashAlgorithmName.SHA256).CreateSelfSigned(
            DateTimeOffset.UnixEpoch,
            new(2100, 1, 1, 0, 0, 0, TimeSpan.Zero)
        );
        await using var server = SmtpServer.Listen(
            new IPEndPoint(IPAddress.Loopback, 0),
            new SmtpServerOptions
            {
                Hostname = "mx.example",
                MessageSize = 2000,
                Certificate = () => certificate,
                MaxRecipients = 3,
                NormaliseNewlines = file.StartsWith("normalise", StringComparison.Ordinal),
            },
            new EchoFlow()
        );
        using var client = new TcpClient();
        await client.ConnectAsync(server.EndPoint);
        var stream = client.GetStream();
        using var reader = new StreamReader(stream, Encoding.UTF8);
        var reply = new List<string>();
        var number = 0;
        foreach (var line in await File.ReadAllLinesAsync(Path.Combine(AppContext.BaseDirectory, "Dialogues", file)))
        {
            number++;
            var text = line.Length > 3 ? line[3..] : "";
            switch (line.Split(' ')[0])
            {
                case "C:":
                    await stream.WriteAsync(Encoding.UTF8.GetBytes(text + "\r\n"));
                    break;
                case "R:":
                    await stream.WriteAsync(Octets(text));
                    break;
                case "S:":
                    reply = await ReadAsync(reader, file, number);
                    Assert.True(
                        reply[0].StartsWith(text, StringComparison.Ordinal),
                        $"{file}:{number}: expected '{text}', got '{reply[0]}'"
                    );
                    break;
                case "L:":
                    Assert.True(
                        reply.Contains(text),
                        $"{file}:{number}: '{text}' is not in\n{string.Join('\n', reply)}"
                    );
                    break;
                case "CLOSED":
                    using (var deadline = new CancellationTokenSource(Wait.Bound))
                        Assert.True(
                            await reader.ReadLineAsync(deadline.Token) is null,
                            $"{file}:{number}: the connection is open"
                        );
                    break;
                case "" or "#":
                    break;
                default:
                    Assert.StartsWith("#", line);
                    break;
            }
        }
    }

    private static async Task<List<string>> ReadAsync(StreamReader reader, string file, int number)
    {
        using var deadline = new CancellationTokenSource(Wait.Bound);
        var lines = new List<string>();
        do
        {
            string? line;
            try
            {
                line = await reader.ReadLineAsync(deadline.Token);
            }
            catch (OperationCanceledException)
            {
                line = null;
            }
            if (line is null)
                Assert.Fail($"{file}:{number}: no reply");
            lines.Add(line);
        } while (lines[^1].Length > 3 && lines[^1][3] == '-');
        return lines;
    }

    private static byte[] Octets(string text)
    {
        var octets = new List<byte>();
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\')
            {
                octets.AddRange(Encoding.UTF8.GetBytes(text[i].ToString()));
                continue;
            }
            i++;
            if (text[i] == 'x')
            {
                octets.Add(Convert.ToByte(text.Substring(i + 1, 2), 16));
                i += 2;
            }
            else
            {
                octets.Add(
                    (byte)(
                        text[i] switch
                        {
                            'r' => '\r',
                            'n' => '\n',
                            't' => '\t',
                            '0' => '\0',
                            _ => text[i],
                        }
                    )
                );
            }
        }
        return [.. octets];
    }

    /// <summary>Answers a message with the message, escaped.</summary>
    private sealed class EchoFlow : IMailFlow, IMailTransaction
    {
        public Task<(SmtpReply, IMailTransaction?)> BeginAsync(
            SmtpClientInfo client,
            ReversePath from,
            CancellationToken cancel
        ) => Task.FromResult<(SmtpReply, IMailTransaction?)>((new SmtpReply(250, "2.1.0", "OK"), this));

        public Task<SmtpReply> AddAsync(ForwardPath recipient, CancellationToken cancel) =>
            recipient.Mailbox.Local == "fault"
                ? throw new InvalidOperationException("a fault of ours")
                : Task.FromResult(
                    recipient.Mailbox.Local == "nobody"
                        ? new SmtpReply(550, "5.1.1", "no such user")
                        : new SmtpReply(250, "2.1.5", "OK")
                );

        public Task<SmtpReply> CommitAsync(ReadOnlyMemory<byte> message, CancellationToken cancel) =>
            Task.FromResult(
                new SmtpReply(
                    250,
                    "2.0.0",
                    Encoding
                        .UTF8.GetString(message.Span)
                        .Replace("\\", "\\\\")
                        .Replace("\r", "\\r")
                        .Replace("\n", "\\n")
                        .Replace("\0", "\\0")
                )
            );
    }
}
