namespace PgpTunnel.Interop;

/// <summary>A Postfix instance of the test's own: configuration, queue and log in a scratch folder, one loopback address.</summary>
internal sealed class Postfix : IAsyncDisposable
{
    private readonly string _directory;

    private Postfix(string directory, string address) => (_directory, Address) = (directory, address);

    public string Address { get; }

    public string Queue => Path.Combine(_directory, "queue");

    public string Log =>
        File.Exists(Path.Combine(_directory, "log")) ? File.ReadAllText(Path.Combine(_directory, "log")) : "";

    /// <param name="main">Lines of main.cf.</param>
    /// <param name="master">Lines of master.cf beside the common services.</param>
    /// <param name="asSystem">It and all it runs see its configuration in /etc/postfix, where sendmail looks for it.</param>
    public static async Task<Postfix> StartAsync(
        string name,
        string address,
        string main,
        string master,
        IReadOnlyDictionary<string, string>? files = null,
        bool asSystem = false
    )
    {
        Need.Root();
        var postfix = Need.Program("postfix");
        var directory = Directory.CreateTempSubdirectory($"pgptunnel-postfix-{name}-").FullName;
        File.SetUnixFileMode(directory, (UnixFileMode)0b111_101_101);
        foreach (var folder in new[] { "queue/pid", "data", "etc" })
            Directory.CreateDirectory(Path.Combine(directory, folder));
        (await Run.ProgramAsync("chown", ["postfix", Path.Combine(directory, "data")])).Expect(0);
        var etc = Path.Combine(directory, "etc");
        foreach (var (file, text) in files ?? new Dictionary<string, string>())
            await File.WriteAllTextAsync(Path.Combine(etc, file), text);
        await File.WriteAllTextAsync(
            Path.Combine(etc, "main.cf"),
            LastWins(
                $"""
                compatibility_level = 3.6
                queue_directory = {directory}/queue
                data_directory = {directory}/data
                maillog_file = {directory}/log
                maillog_file_prefixes = /tmp, /var
                inet_interfaces = loopback-only
                inet_protocols = ipv4
                myhostname = {name}.example
                mydestination =
                local_recipient_maps =
                alias_maps =
                smtpd_peername_lookup = no
                smtp_host_lookup = native
                smtpd_relay_restrictions = permit_mynetworks, permit_auth_destination, reject
                mynetworks = 127.0.0.0/8
                message_size_limit = 80000000
                minimal_backoff_time = 1s
                maximal_backoff_time = 2s
                queue_run_delay = 1s
                smtputf8_enable = yes
                {main.Replace("/etc/postfix", etc)}

                """
            )
        );
        await File.WriteAllTextAsync(
            Path.Combine(etc, "master.cf"),
            $"""
            {address}:2525 inet n - n - - smtpd
            pickup unix n - n 60 1 pickup
            cleanup unix n - n - 0 cleanup
            qmgr unix n - n 300 1 qmgr
            rewrite unix - - n - - trivial-rewrite
            bounce unix - - n - 0 bounce
            defer unix - - n - 0 bounce
            trace unix - - n - 0 bounce
            flush unix n - n 1000? 0 flush
            smtp unix - - n - - smtp
              -o smtp_line_length_limit=0
            relay unix - - n - - smtp
            showq unix n - n - - showq
            error unix - - n - - error
            retry unix - - n - - error
            discard unix - - n - - discard
            anvil unix - - n - 1 anvil
            scache unix - - n - 1 scache
            proxymap unix - - n - - proxymap
            tlsmgr unix - - n 1000? 1 tlsmgr
            postlog unix-dgram n - n - 1 postlogd
            {master}

            """
        );
        var started = new Postfix(directory, address);
        var start = asSystem
            ? await Run.ProgramAsync(
                Need.Program("unshare"),
                [
                    "--mount",
                    "sh",
                    "-c",
                    "for f in main.cf master.cf; do mount --bind \"$0/$f\" \"/etc/postfix/$f\" || exit; done; exec \"$1\" start",
                    etc,
                    postfix,
                ]
            )
            : await Run.ProgramAsync(postfix, ["-c", etc, "start"]);
        Assert.True(start.Code == 0, $"Postfix {name} does not start: {start.Error}\n{started.Log}");
        await Wait.UntilAsync(
            () => Net.Answers(address, 2525),
            () => $"Postfix {name} does not answer:\n{started.Log}"
        );
        return started;
    }

    /// <summary>
    /// Each setting once, as said last. Postfix takes the last too, but every process of its warns of the others, postlogd to itself:
    /// with its socket full it then waits for itself for ever, and all that log with it.
    /// </summary>
    private static string LastWins(string main)
    {
        var lines = main.Split('\n');
        var last = lines
            .Select((line, at) => (Name: Setting(line), at))
            .Where(l => l.Name is not null)
            .GroupBy(l => l.Name!)
            .ToDictionary(g => g.Key, g => g.Max(l => l.at));
        return string.Join('\n', lines.Where((line, at) => Setting(line) is not { } name || last[name] == at));
    }

    /// <summary>The name a line sets; null for comments, blank lines and continuations.</summary>
    private static string? Setting(string line) =>
        line.Length > 0 && char.IsAsciiLetter(line[0]) && line.IndexOf('=') is > 0 and var at
            ? line[..at].Trim()
            : null;

    public Task FlushAsync() =>
        Run.ProgramAsync(Need.Program("postqueue"), ["-c", Path.Combine(_directory, "etc"), "-f"]);

    public async ValueTask DisposeAsync()
    {
        await Run.ProgramAsync(Need.Program("postfix"), ["-c", Path.Combine(_directory, "etc"), "stop"]);
        Directory.Delete(_directory, true);
    }
}

internal static class Net
{
    public static bool Answers(string address, int port)
    {
        try
        {
            using var client = new System.Net.Sockets.TcpClient();
            client.Connect(address, port);
            return true;
        }
        catch (System.Net.Sockets.SocketException)
        {
            return false;
        }
    }
}
