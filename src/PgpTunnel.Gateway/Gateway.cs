using System.Globalization;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>One running gateway: everything wired once, in the order in which mail meets it.</summary>
internal sealed class Gateway : IAsyncDisposable
{
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(25); // of the 30 s that SIGTERM grants

    private readonly Settings _settings;
    private readonly Spool _spool;
    private readonly Peers _peers;
    private readonly SmtpSender _sender;
    private readonly EventLog _log;
    private readonly CancellationTokenSource _stop = new(),
        _abort = new();
    private readonly Listeners _listeners;
    private readonly NameService _names;
    private readonly Alarms _alarms;
    private readonly Upkeep _upkeep;
    private readonly MonthKeys _monthKeys;
    private readonly Witness _witness;
    private readonly ReceiptRounds _rounds;
    private Task _delivering = Task.CompletedTask,
        _paying = Task.CompletedTask,
        _arming = Task.CompletedTask,
        _keeping = Task.CompletedTask;

    private Gateway(Settings settings, Spool spool, EventLog log, TimeProvider time)
    {
        var configuration = settings.Configuration;
        (_settings, _spool, _log) = (settings, spool, log);
        var arrays = new LargeArrays(configuration.Limits.Memory / 8);
        _listeners = new Listeners(arrays, log);
        var clock = new ClockWatch(log, time);
        clock.Start(spool.LastUsed);
        var memory = new PeerMemory(spool, log, time, clock);
        _names = new NameService(configuration, time, log);
        _peers = new Peers(
            () => _names.Validator,
            memory,
            domain => settings.Configuration.Policy.Partners.GetValueOrDefault(domain),
            time,
            () => settings.Configuration.Limits.Memory / 16,
            _abort.Token
        );
        Arming = new Arming(settings, _peers, log, time);
        _sender = new SmtpSender(() => settings.Configuration.Hostname);
        var site = new Site(settings, spool, log, time);
        _monthKeys = new MonthKeys(settings, log);
        var heads = new Heads(configuration, spool);
        var (signed, held) = (new SignedHeads(settings, spool, heads, log, time), new HeldLogs(spool, time));
        var witness = new Witness(settings, _monthKeys, new Proofs(_names, spool, time), signed, held, time);
        _witness = witness;
        var parcels = new Parcels(settings, time, witness, arrays);
        var decisions = new Decisions(settings, _peers, memory, Arming, time);
        var ownMail = new OwnMail(settings, parcels, time);
        _alarms = new Alarms(site, memory, ownMail);
        var echoes = new Echoes(site, _peers, parcels);
        var returns = new Returns(site, parcels, ownMail, echoes);
        var room = new SpoolRoom(site);
        var missing = new ReceiptAlarms(site, ownMail);
        var rewritten = new RewrittenLogs(site, witness, missing);
        OutboundFlow = new Outbound(site, decisions, _peers, Arming, parcels, ownMail, witness, _alarms, room);
        InboundFlow = new Inbound(
            site,
            new Opening(settings, _peers, time, arrays, clock),
            parcels,
            ownMail,
            returns,
            echoes,
            new ParcelHeads(site, witness, signed, rewritten),
            new ReceiptReader(site, parcels, ownMail, witness, held, rewritten, missing),
            witness,
            _alarms,
            room
        );
        var slots = new Slots(() => settings.Configuration.Limits.Memory);
        var schedule = new Schedule(slots);
        var outcomes = new Outcomes(site, _peers, parcels, ownMail, returns, echoes, witness, clock, schedule);
        var attempts = new Attempts(
            site,
            decisions,
            _peers,
            _alarms,
            parcels,
            witness,
            new Handover(site, new NextHops(settings, _names), _sender, slots),
            outcomes
        );
        Delivery = new Delivery(site, parcels, clock, slots, schedule, attempts);
        _rounds = new ReceiptRounds(
            site,
            signed,
            new ReceiptSender(site, _peers, parcels, heads, held),
            new OverdueReceipts(site, parcels, ownMail, witness, missing, Delivery.Note)
        );
        _upkeep = new Upkeep(site, _peers, new Doctor(settings, _peers, _names, time), witness, clock, ReloadAsync);
    }

    public Settings Settings => _settings;
    public Arming Arming { get; }
    public Outbound OutboundFlow { get; }
    public Inbound InboundFlow { get; }
    public Delivery Delivery { get; }
    public SmtpServer? OutboundServer => _listeners.Outbound;
    public SmtpServer? InboundServer => _listeners.Inbound;

    /// <summary>What monitors read of it, until that is disposed.</summary>
    public Gauges Watch(TimeProvider time) => new(_settings, _spool, Arming, time);

    /// <summary>The line that says where it listens.</summary>
    public string ReadyLine =>
        $"ready outbound={OutboundServer?.EndPoint.ToString() ?? "none"} "
        + $"inbound={InboundServer?.EndPoint.ToString() ?? "none"} armed={(Arming.Armed ? "true" : "false")}";

    /// <summary>Opens the spool, takes its addresses, looks at our own records once, and then serves and delivers until disposed.</summary>
    /// <param name="ready">Told before the first client is greeted.</param>
    /// <exception cref="ConfigurationException">Keys, certificates or anchors cannot be used.</exception>
    /// <exception cref="SpoolException">The spool cannot be opened.</exception>
    /// <exception cref="IOException">An address cannot be listened on.</exception>
    public static async Task<Gateway> StartAsync(
        GatewayConfiguration configuration,
        EventLog log,
        TimeProvider time,
        Action<Gateway>? ready = null
    )
    {
        var settings = new Settings(configuration, KeyRing.Load(configuration));
        if (
            !OperatingSystem.IsWindows()
            && configuration.Keys.PassphraseFile is { } file
            && (File.GetUnixFileMode(file) & UnixFileMode.OtherRead) != 0
        )
            log.Write("warning", ("what", $"everyone can read keys.passphraseFile {file}"), ("do", "chmod 600 it"));
        var gateway = new Gateway(settings, Spool.Open(configuration.SpoolFile, running: true), log, time);
        try
        {
            if (configuration.Evidence.Keep)
                await gateway.OpenRecordsAsync(time);
            gateway._listeners.Open(configuration, gateway.OutboundFlow, gateway.InboundFlow);
            // Who knocks meanwhile waits for the greeting: until this look-up is done there would be nothing but 451 for what must be
            // sealed.
            await gateway.Arming.CheckAsync(gateway._stop.Token);
            gateway._delivering = gateway.Delivery.RunAsync(gateway._stop.Token, gateway._abort.Token);
            gateway._arming = gateway.Arming.RunAsync(gateway._stop.Token);
            gateway._paying = gateway._rounds.RunAsync(gateway._stop.Token);
            gateway._keeping = gateway._upkeep.RunAsync(gateway._stop.Token);
            await gateway.NoteAsync(time);
            await gateway.RecordInForceAsync();
            ready?.Invoke(gateway);
            gateway._listeners.Serve();
            return gateway;
        }
        catch
        {
            await gateway.DisposeAsync();
            throw;
        }
    }

    /// <summary>Where what happens cannot go on record no mail is taken; what was set back goes on under another name.</summary>
    private async Task OpenRecordsAsync(TimeProvider time)
    {
        _monthKeys.Current(time.GetUtcNow());
        foreach (var closed in await new Heads(_settings.Configuration, _spool).CloseOldAsync())
            _log.Write(
                "log-closed",
                ("alarm", true),
                ("log", closed.ToString()),
                (
                    "why",
                    "the spool is a copy of the file that it was, or older than what was signed of this log: it was "
                        + "restored, or set back"
                ),
                ("do", "nothing, if that was meant: the next record begins another log, which names this one")
            );
    }

    /// <summary>Puts on record that another configuration, or another key, is in force.</summary>
    private async Task RecordInForceAsync()
    {
        const string Fact = "in-force";
        var (before, now) = (InForce.Read(_spool.Fact(Fact)), InForce.Of(_settings));
        if (_settings.Configuration.Evidence.Keep && now != before)
            await _spool.CommitAsync(
                new()
                {
                    Facts = new Dictionary<string, string> { [Fact] = now.ToString() },
                    Entries = _witness.Changed(before, now),
                }
            );
    }

    /// <summary>What <c>status</c> shows of a running gateway.</summary>
    private Task NoteAsync(TimeProvider time) =>
        _spool.CommitAsync(
            new()
            {
                Facts = new Dictionary<string, string>
                {
                    ["pid"] = Environment.ProcessId.ToString(CultureInfo.InvariantCulture),
                    ["started"] = InnerHeader.Time(time.GetUtcNow()),
                    ["outbound"] = OutboundServer?.EndPoint.ToString() ?? "none",
                    ["inbound"] = InboundServer?.EndPoint.ToString() ?? "none",
                    ["key"] = _settings.Keys.Active.Fingerprint,
                },
            }
        );

    /// <summary>Takes over a changed configuration, keys and TLS certificates; what only a restart can change is named.</summary>
    public async Task ReloadAsync()
    {
        try
        {
            var (old, configuration) = (
                _settings.Configuration,
                ConfigurationReader.Read(_settings.Configuration.File)
            );
            foreach (var key in old.NeedsRestart(configuration))
                _log.Write(
                    "restart-needed",
                    ("key", key),
                    ("why", $"{key} has changed, which takes a restart; everything else is taken over now")
                );
            var keys = KeyRing.Load(configuration);
            MonthKeys.Prepare(configuration, TimeProvider.System.GetUtcNow());
            _listeners.LoadCertificates(configuration);
            _names.Replace(configuration);
            var beginsRecords = configuration.Evidence.Keep && !_settings.Configuration.Evidence.Keep;
            _settings.Replace(configuration, keys);
            if (beginsRecords)
                await OpenRecordsAsync(TimeProvider.System);
            _peers.Clear();
            await Arming.CheckAsync(_stop.Token);
            await RecordInForceAsync();
            _log.Write("reloaded", ("key", keys.Active.Fingerprint));
        }
        catch (ConfigurationException e)
        {
            foreach (var mistake in e.Mistakes)
                _log.Write(
                    "reload-refused",
                    ("why", mistake),
                    ("do", "the former configuration stays in force; mend it and send SIGHUP again")
                );
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            _log.Write("error", ("what", "reloading"), ("why", e.ToString()));
        }
    }

    /// <summary>Takes no more mail, finishes what is in hand within 30 s, and closes; what is left stays in the spool.</summary>
    public async ValueTask DisposeAsync()
    {
        // No new attempts from here on; sessions and attempts in hand have the same time to end.
        await _stop.CancelAsync();
        var sessions = _listeners.StopAsync(Grace);
        await Task.WhenAny(Task.WhenAll(sessions, _delivering), Task.Delay(Grace));
        await _abort.CancelAsync();
        await sessions;
        // what went wrong there has been logged
        await Task.WhenAll(_delivering, _arming, _keeping, _paying).ContinueWith(_ => { }, TaskScheduler.Default);
        await _listeners.DisposeAsync();
        _alarms.Dispose();
        Delivery.Dispose();
        await _sender.DisposeAsync();
        await _peers.DrainAsync();
        await _spool.DisposeAsync();
        _stop.Dispose();
        _abort.Dispose();
    }
}
