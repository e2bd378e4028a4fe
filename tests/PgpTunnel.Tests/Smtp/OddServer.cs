using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace PgpTunnel.Tests;

/// <summary>A case of Servers/README.txt: a next server, what is sent to it, and what must come of it.</summary>
internal sealed class OddServer : IDisposable
{
    private sealed record Rule(string Command, string Which, string With, string Reply);

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly List<Rule> _rules = [];
    private readonly Dictionary<string, string> _settings = [];
    private readonly ConcurrentDictionary<string, int> _inAll = new();
    private readonly StringBuilder _told = new();
    private int _taken;

    public OddServer(IEnumerable<string> lines)
    {
        foreach (var line in lines.Where(l => l.Length > 0 && l[0] != '#'))
        {
            var words = line.Split(' ', 2);
            if (words[0].EndsWith(':'))
            {
                _settings[words[0]] = words[1];
                continue;
            }
            var (left, reply) = (
                line[..line.IndexOf(" :", StringComparison.Ordinal)],
                line[(line.IndexOf(" :", StringComparison.Ordinal) + 2)..].Trim()
            );
            var with = left.IndexOf(" with ", StringComparison.Ordinal);
            var parts = (with < 0 ? left : left[..with]).Split(' ');
            _rules.Add(new(parts[0], parts.Length > 1 ? parts[1] : "", with < 0 ? "" : left[(with + 6)..], reply));
        }
        _listener.Start();
        _ = AcceptAsync();
    }

    public IPEndPoint EndPoint => (IPEndPoint)_listener.LocalEndpoint;

    public string this[string setting] => _settings.GetValueOrDefault(setting, "");

    /// <summary>Copies for recipients that were taken.</summary>
    public int Taken => Volatile.Read(ref _taken);

    public string Told
    {
        get
        {
            lock (_told)
                return _told.ToString();
        }
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
                _ = ServeAsync(await _listener.AcceptTcpClientAsync());
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException) { }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using (client)
        {
            try
            {
                await TalkAsync(client.GetStream());
            }
            catch (Exception e) when (e is IOException or InvalidOperationException) { }
        }
    }

    private async Task TalkAsync(NetworkStream stream)
    {
        using var reader = new StreamReader(stream, Encoding.Latin1);
        var (inConnection, inTransaction, accepted) = (new Dictionary<string, int>(), new Dictionary<string, int>(), 0);
        async Task<string?> SayAsync(string command, string line, string usual)
        {
            inConnection[command] = inConnection.GetValueOrDefault(command) + 1;
            inTransaction[command] = inTransaction.GetValueOrDefault(command) + 1;
            var inAll = _inAll.AddOrUpdate(command, 1, (_, n) => n + 1);
            bool Fits(Rule rule)
            {
                if (rule.Command != command || !line.Contains(rule.With))
                    return false;
                if (rule.Which.Length == 0)
                    return true;
                var count = rule.Which[0] switch
                {
                    '@' => inConnection[command],
                    '#' => inAll,
                    _ => inTransaction[command],
                };
                var number = int.Parse(
                    rule.Which.Trim('@', '#', '+'),
                    System.Globalization.CultureInfo.InvariantCulture
                );
                return rule.Which.EndsWith('+') ? count >= number : count == number;
            }
            var reply = _rules.LastOrDefault(Fits)?.Reply ?? usual;
            var closes = reply.EndsWith("close", StringComparison.Ordinal);
            var said = closes ? reply[..^5].Trim() : reply;
            if (!closes && command is "CONTENT" or "BDAT" && said.StartsWith('2'))
                Interlocked.Add(ref _taken, accepted); // before the client hears it and the test looks
            if (said.Length > 0)
                await stream.WriteAsync(
                    Encoding.Latin1.GetBytes(said.Replace("|", "\r\n").Replace("/", "\r\n") + "\r\n")
                );
            return closes ? null : said;
        }
        if (await SayAsync("CONNECT", "", "220 odd.example") is null)
            return;
        while (await reader.ReadLineAsync() is { } line)
        {
            lock (_told)
                _told.Append(line).Append('\n');
            var command = line.Split(' ')[0];
            if (command == "BDAT")
            {
                var octets = new char[int.Parse(line.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture)];
                await reader.ReadBlockAsync(octets);
            }
            if (command == "MAIL")
                (inTransaction, accepted) = ([], 0);
            var usual = command switch
            {
                "EHLO" => string.Join(
                    '|',
                    this["offers:"]
                        .Replace("SIZE ", "SIZE=")
                        .Split(' ', StringSplitOptions.RemoveEmptyEntries)
                        .Select(o => $"250-{o.Replace("SIZE=", "SIZE ")}")
                        .Prepend("250-odd.example")
                        .Append("250 HELP")
                ),
                "DATA" => accepted > 0 ? "354 go" : "503 5.5.1 no recipients",
                "QUIT" => "221 bye close",
                _ => "250 2.0.0 ok",
            };
            if (await SayAsync(command, line, usual) is not { } said)
                return;
            if (command == "RCPT" && said.StartsWith('2'))
                accepted++;
            if (
                command == "DATA"
                && said.StartsWith("354", StringComparison.Ordinal)
                && !await TakeAsync(reader, SayAsync)
            )
                return;
        }
    }

    private static async Task<bool> TakeAsync(StreamReader reader, Func<string, string, string, Task<string?>> say)
    {
        while (await reader.ReadLineAsync() is var data && data != ".")
            if (data is null)
                return false; // it hung up, so there is no message
        return await say("CONTENT", "", "250 2.0.0 taken") is not null;
    }

    public void Dispose() => _listener.Dispose();
}
