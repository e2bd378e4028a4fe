using System.Text;
using System.Text.Json;
using PgpTunnel.Dns;
using PgpTunnel.Evidence;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>Makes the bundle of one message: what is on record about it, with all that is needed to check it elsewhere.</summary>
/// <param name="names">Asked for proofs of our own keys.</param>
internal sealed class BundleMaker(Settings settings, Spool spool, NameService names, TimeProvider time)
{
    private readonly RecordSearch _search = new(settings.Configuration, spool);

    /// <param name="id">Of the parcel.</param>
    /// <param name="withAddresses">With the private parts: who wrote to whom, and what stands around the message.</param>
    /// <returns>Null when nothing is on record about it.</returns>
    /// <exception cref="EvidenceException">A log cannot be signed.</exception>
    public async Task<BundleFiles?> MakeAsync(string id, bool withAddresses)
    {
        var (files, guide) = (new BundleFiles(), new BundleGuide(id));
        if (!await AddAsync(files, guide, withAddresses))
            return null;
        Finish(files, guide);
        return files;
    }

    /// <summary>Adds what is on record here.</summary>
    /// <returns>False when that is nothing.</returns>
    /// <exception cref="EvidenceException">A log cannot be signed.</exception>
    public async Task<bool> AddAsync(BundleFiles files, BundleGuide guide, bool withAddresses)
    {
        var records = _search.About(guide.Id);
        foreach (var group in records.GroupBy(r => r.Log))
            await AddLogAsync(files, guide, spool.Log(group.Key)!, [.. group], withAddresses);
        AddKeys(files, records);
        await AddDnsAsync(files, guide, records, time.GetUtcNow());
        if (
            withAddresses
            && records.Select(_search.Open).FirstOrDefault(o => o?.Text("head") is not null) is { } opening
        )
            AddMessage(files, guide, opening);
        return records.Count > 0;
    }

    /// <summary>Adds the guide, and the list of all that is there, signed.</summary>
    public void Finish(BundleFiles files, BundleGuide guide)
    {
        files.Add("inclusion.sh", BundleGuide.Script);
        files.Add("README.txt", guide.ToString());
        Sums.Add(files, settings.Keys.Active, time.GetUtcNow());
    }

    private async Task AddLogAsync(
        BundleFiles files,
        BundleGuide guide,
        StoredLog log,
        IReadOnlyList<StoredRecord> records,
        bool withAddresses
    )
    {
        if (log.IsMirror && BundleLog.IsIn(files, log.Origin.Id))
            return; // from who keeps it
        if (await HeadAsync(log) is not var (head, signature, signer))
            return;
        var items = records
            .Where(r => r.Record.N < head.Size)
            .Select(r => new BundleRecord(
                r.Record,
                new(r.Record.N, spool.PathTo(log, r.Record.N, head.Size), head),
                withAddresses ? _search.Open(r) : null
            ))
            .ToList();
        var part = new BundleLog(head, signature, items);
        part.AddTo(files);
        guide.Log(part, signer);
    }

    /// <summary>The head of a log, signed by who keeps it: now, where that is us, else as the last receipt brought it.</summary>
    /// <returns>Null when there is none.</returns>
    private async Task<(Checkpoint Head, byte[] Signature, string Signer)?> HeadAsync(StoredLog log)
    {
        if (!log.IsMirror)
        {
            var signer = settings.Keys.Active;
            var (head, signature) = await new PgpTunnel.Heads(settings.Configuration, spool).SignAsync(
                log,
                signer,
                time.GetUtcNow()
            );
            return (head, signature, signer.Fingerprint);
        }
        return Witnessed(log) is { Cert.Length: > 0 } witnessed && Blob(witnessed.Cert) is { } certificate
            ? (witnessed.Head, witnessed.Signature, Certificate.Read(certificate).Fingerprint)
            : null;
    }

    /// <summary>The head of a peer's log with the last receipt.</summary>
    private WitnessedHead? Witnessed(StoredLog log) =>
        spool.Witnessed(log.Origin, log.Edge.Size) is [.., var last] ? last : null;

    private byte[]? Blob(string name) => name.Length > 0 ? spool.Blob(Convert.FromHexString(name)) : null;

    /// <summary>The peers' logs that these records stand in.</summary>
    private IEnumerable<(WitnessedHead Head, DateTimeOffset At)> Heads(IReadOnlyList<StoredRecord> records)
    {
        foreach (var log in records.GroupBy(r => r.Log))
            if (spool.Log(log.Key) is { IsMirror: true } mirror && Witnessed(mirror) is { } head)
                yield return (head, log.Max(r => r.Record.At));
    }

    /// <summary>The certificates that are named: ours, and those of the other side that we have seen.</summary>
    private void AddKeys(BundleFiles files, IReadOnlyList<StoredRecord> records)
    {
        var signers = records.Select(r => r.Record.Text("signer")).Append(settings.Keys.Active.Fingerprint).ToHashSet();
        var ours = settings.Keys.Keys.Where(k => signers.Contains(k.Fingerprint)).Select(k => k.ExportCertificate());
        var theirs = records
            .Select(r => r.Record.Text("cert"))
            .Concat(Heads(records).Select(h => h.Head.Cert))
            .OfType<string>()
            .Distinct()
            .Select(Blob)
            .OfType<byte[]>();
        foreach (var octets in ours.Concat(theirs))
            files.AddOnce($"keys/{Certificate.Read(octets).Fingerprint}.pgp", octets);
    }

    /// <summary>What the DNS said of the other side when it was relied on, and what it says of us now, when the heads are signed.</summary>
    private async Task AddDnsAsync(
        BundleFiles files,
        BundleGuide guide,
        IReadOnlyList<StoredRecord> records,
        DateTimeOffset now
    )
    {
        var proofs = new Dictionary<string, (byte[] Stream, DateTimeOffset At)>();
        foreach (var record in records)
            if (record.Record.Text("dns") is { } name && Blob(name) is { } stream)
                proofs.TryAdd(name, (stream, record.Record.At));
        foreach (var (head, at) in Heads(records))
            if (Blob(head.Dns) is { } stream)
                proofs.TryAdd(head.Dns, (stream, at));
        var ours = records.Select(r => spool.Log(r.Log)!).Where(l => !l.IsMirror).Select(l => l.Origin.Own);
        foreach (var own in ours.Distinct())
            if (await Proofs.AskAsync(names, own) is { Proof: { } proof })
                proofs.TryAdd(Proofs.NameOf(proof.ToStream()), (proof.ToStream(), now));
        if (proofs.Count == 0)
            return;
        OfflineDns.AddAnchors(files, names.Anchors);
        foreach (var (name, (stream, at)) in proofs)
            if (OfflineDns.Add(files, name, stream, at) is { } command)
                guide.Dns(command, at);
    }

    private static void AddMessage(BundleFiles files, BundleGuide guide, RecordOpening opening)
    {
        var fields = opening.Fields.ToDictionary(f => f.Name, f => f.Value);
        if (!fields.TryGetValue("pad", out var pad) || !pad.TryGetInt32(out var octets))
            return; // padding of another form is not kept
        if (files["message/head"] is not null)
            return; // from the other side, which has the signature with it
        files.Add("message/head", fields["head"].GetString()!);
        files.Add("message/pad", ParcelBody.UsualPadding(octets));
        var isSigned = fields.TryGetValue("sig", out var signature) && signature.ValueKind == JsonValueKind.String;
        if (isSigned)
            files.Add("message/sig", signature.GetBytesFromBase64());
        guide.Message(isSigned);
    }
}
