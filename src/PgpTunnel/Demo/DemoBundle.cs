using PgpTunnel.Evidence;

namespace PgpTunnel.Demo;

/// <summary>The bundle of the demo's message, with what both companies have on record, each in its own log under its own key.</summary>
internal static class DemoBundle
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20),
        Poll = TimeSpan.FromSeconds(0.05);

    /// <summary>The last word of each side about a message.</summary>
    private const string HandedOver = "handed",
        Delivered = "outcome";

    /// <exception cref="TimeoutException">It is not on record whole within that time.</exception>
    public static async Task<BundleFiles> MakeAsync(Theatre theatre, string id, CancellationToken cancel)
    {
        var (files, guide) = (new BundleFiles(), new BundleGuide(id));
        await using var b = new Side(theatre.B.Settings);
        await using var a = new Side(theatre.A.Settings);
        await b.WaitAsync(id, Delivered, cancel);
        await a.WaitAsync(id, HandedOver, cancel);
        await b.Maker.AddAsync(files, guide, withAddresses: true); // first: it has A's signature with the message
        await a.Maker.AddAsync(files, guide, withAddresses: true);
        a.Maker.Finish(files, guide);
        return files;
    }

    /// <summary>One company's, beside its running gateway.</summary>
    private sealed class Side : IAsyncDisposable
    {
        private readonly Spool _spool;
        private readonly RecordSearch _search;

        public Side(Settings settings)
        {
            var configuration = settings.Configuration;
            _spool = Spool.Open(configuration.SpoolFile, running: false);
            _search = new(configuration, _spool);
            Maker = new(settings, _spool, new NameService(configuration, TimeProvider.System), TimeProvider.System);
        }

        public BundleMaker Maker { get; }

        public async Task WaitAsync(string id, string ev, CancellationToken cancel)
        {
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            patience.CancelAfter(Patience);
            try
            {
                while (!_search.About(id).Any(r => r.Record.Event == ev))
                    await Task.Delay(Poll, patience.Token);
            }
            catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
            {
                throw new TimeoutException($"'{ev}' of {id} is not on record within {Patience.TotalSeconds:0} s");
            }
        }

        public ValueTask DisposeAsync() => _spool.DisposeAsync();
    }
}
