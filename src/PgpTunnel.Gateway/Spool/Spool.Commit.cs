using System.Runtime.InteropServices;

namespace PgpTunnel;

internal sealed partial class Spool
{
    /// <summary>Told of each new parcel that is to go on, once it is durable; from then on it is the receiver's to see to.</summary>
    public Action<Parcel, ParcelContent>? Committed { get; set; }

    /// <summary>What a change has come to, once it is committed.</summary>
    private sealed class Applied
    {
        /// <summary>Files of bodies that no row names any more.</summary>
        public List<string> Orphans { get; } = [];

        public PeerRecord? Peer { get; set; }
        public long PeerWrite { get; set; }
    }

    /// <summary>
    /// Makes a change, all or nothing. Returned means durable; large bodies lie in files, which are durable before the rows that name
    /// them.
    /// </summary>
    /// <returns>False when a condition does not hold; nothing was kept then.</returns>
    /// <exception cref="SpoolException">Nothing of it is there, or may be again whole.</exception>
    public async Task<bool> CommitAsync(SpoolChange change)
    {
        var (files, applied, version, kept) = (
            new string[change.Add.Count],
            (Applied?)null,
            change.Peer is null && change.Forget is null ? "" : PeersVersion,
            false
        );
        try
        {
            await WriteBodiesAsync(change.Add, files);
            await WriteAsync(
                statements => applied = Apply(statements, change, files),
                namesFiles: files.Any(f => f.Length > 0)
            );
            kept = applied is not null;
        }
        catch (SpoolException e) when (e.MayReturn)
        {
            files = []; // the rows may be there again after a crash, and name them
            throw;
        }
        finally
        {
            if (!kept)
                Array.ForEach(files, _bodies.Delete);
        }
        if (applied is null)
            return false;
        applied.Orphans.ForEach(_bodies.Delete);
        if (applied.Peer is { } peer)
            Know(peer.Domain, peer, version, applied.PeerWrite);
        if (change.Forget is { } forgotten)
            Know(forgotten, null, version, applied.PeerWrite);
        foreach (var (parcel, content) in change.Add)
            Committed?.Invoke(parcel with { Octets = content.Body.Length }, content);
        return true;
    }

    /// <returns>
    /// Null when a condition does not hold. Beside the replay id at most one is asked in a change: nothing has been written before it.
    /// </returns>
    private Applied? Apply(Statements statements, SpoolChange change, string[] files)
    {
        var applied = new Applied();
        if (change.Mirror is { } mirror && (IsReplay(statements, change) || !_ledger.Mirror(statements, mirror)))
            return null;
        if (change.Replay is { } replay && !InsertReplay(statements, replay))
            return null;
        if (
            change.Tell is { } told
            && statements.Execute("UPDATE parcel SET told = 1 WHERE id = $id AND told = 0", ("$id", told)) == 0
        )
            return null;
        if (change.Miss is { } missed && !Miss(statements, missed))
            return null;
        if (change.Replace is { } replaced)
        {
            if (Delete(statements, replaced) is not [var file])
                return null;
            applied.Orphans.AddRange(file.Length > 0 ? [file] : []);
        }
        if (change.Act is { } act)
        {
            Insert(statements, act);
            _ledger.Append(statements, act, DomainOf(statements, act.Subject));
        }
        if (change.Remove is { } gone)
            applied.Orphans.AddRange(Delete(statements, gone).Where(f => f.Length > 0));
        if (change.Update is { } parcel)
            Update(statements, parcel);
        if (change.Reschedule is { } wish)
            Reschedule(statements, wish);
        if (change.HandOver is { } handed)
            applied.Orphans.AddRange(HandOver(statements, handed));
        if (change.Resend is { } again)
            Resend(statements, again);
        foreach (var settled in change.Settle)
            applied.Orphans.AddRange(Settle(statements, settled));
        for (var i = 0; i < change.Add.Count; i++)
        {
            Insert(statements, change.Add[i].Parcel, change.Add[i].Content, files[i]);
            if (change.Add[i].Content.Entry is { } first)
                _ledger.Append(statements, first);
        }
        foreach (var entry in change.Entries)
            _ledger.Append(statements, entry);
        if (change.Peer is { } peer)
            (applied.Peer, applied.PeerWrite) = ChangePeer(statements, peer);
        if (change.Sent is { } receipt)
            _ledger.Receipts.Sent(statements, receipt);
        if (change.Witnessed is { } head)
            Insert(statements, head);
        if (change.Forget is { } domain)
            applied.PeerWrite = ForgetPeer(statements, domain);
        foreach (var (name, value) in change.Facts)
            statements.Execute(
                "INSERT INTO gateway(name, value) VALUES($name, $value) ON CONFLICT(name) DO UPDATE SET value = $value",
                ("$name", name),
                ("$value", value)
            );
        return applied;
    }

    /// <summary>Writes large bodies to files, on a thread of its own: a sync takes as long as the disk likes.</summary>
    /// <param name="files">Gets the name of each parcel's file; empty where its row holds the body.</param>
    private async Task WriteBodiesAsync(IReadOnlyList<(Parcel Parcel, ParcelContent Content)> parcels, string[] files)
    {
        Array.Fill(files, "");
        var large = Enumerable
            .Range(0, parcels.Count)
            .Where(i => parcels[i].Content.Body.Length >= BodyFiles.Smallest)
            .ToList();
        if (large.Count == 0)
            return;
        try
        {
            await Task.Factory.StartNew(
                () => large.ForEach(i => files[i] = _bodies.Write(parcels[i].Content.Body.Span)),
                CancellationToken.None,
                TaskCreationOptions.LongRunning,
                TaskScheduler.Default
            );
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Failure(e);
        }
    }

    /// <summary>The file that the row has named which a statement has changed, if any.</summary>
    private static IReadOnlyList<string> FileOf(
        Statements statements,
        string sql,
        params ReadOnlySpan<(string, object)> parameters
    ) => statements.Rows(sql, row => row.GetString(0), parameters) is [{ Length: > 0 } file] ? [file] : [];

    /// <summary>One that was handed over stays.</summary>
    /// <returns>The file of what has gone; empty = it had none.</returns>
    private static List<string> Delete(Statements statements, string id) =>
        statements.Rows(
            "DELETE FROM parcel WHERE id = $id AND state <> $handed RETURNING file",
            row => row.GetString(0),
            ("$id", id),
            ("$handed", (int)ParcelState.Handed)
        );

    /// <summary>Asked where something else is written before the id.</summary>
    private static bool IsReplay(Statements statements, SpoolChange change) =>
        change.Replay is { } replay
        && statements.Scalar(
            "SELECT 1 FROM replay WHERE sender = $sender AND id = $id",
            ("$sender", replay.Sender),
            ("$id", replay.Id)
        )
            is not null;

    private static bool InsertReplay(Statements statements, ReplayEntry entry) =>
        statements.Execute(
            "INSERT INTO replay(sender, id, hash, expires) VALUES($sender, $id, $hash, $expires) ON CONFLICT DO NOTHING",
            ("$sender", entry.Sender),
            ("$id", entry.Id),
            ("$hash", entry.BodySha256),
            ("$expires", entry.Expires.ToUnixTimeSeconds())
        ) == 1;

    private static void Insert(Statements statements, Parcel p, ParcelContent c, string file)
    {
        if (file.Length == 0)
            InsertBody(statements, c.Body);
        statements.Execute(
            $"INSERT INTO parcel({Columns}, body, key, envelope, file, stored) VALUES($id, $route, $form, $domain, $token, "
                + "$state, $created, $expires, $next, $attempts, $done, $status, $must, $may, $exempt, $delayed, "
                + "$fpr, $octets, $notice, $refusals, $since, $told, $server, $own, $lit, $receipt, $overdue, "
                + "x'', $key, $envelope, $file, CASE $file WHEN '' THEN last_insert_rowid() END)",
            ("$id", p.Id),
            ("$route", (int)p.Route),
            ("$form", (int)p.Form),
            ("$domain", p.Domain),
            ("$token", p.Token),
            ("$state", (int)p.State),
            ("$created", p.Created.ToUnixTimeSeconds()),
            ("$expires", p.Expires.ToUnixTimeSeconds()),
            ("$next", p.Next.ToUnixTimeSeconds()),
            ("$attempts", p.Attempts),
            ("$done", WriteDone(p.Done)),
            ("$status", p.Status),
            ("$must", Is(p, Leaving.SealedOnly)),
            ("$may", Is(p, Leaving.ClearAfterTest)),
            ("$exempt", Is(p, Leaving.Exempt)),
            ("$delayed", p.Delayed ? 1 : 0),
            ("$fpr", p.KeyFingerprint),
            ("$octets", c.Body.Length),
            ("$notice", p.IsNotice ? 1 : 0),
            ("$refusals", p.Refusals),
            ("$since", Seconds(p.RefusedSince)),
            ("$told", p.IsTold ? 1 : 0),
            ("$server", p.Server),
            ("$own", p.Own),
            ("$lit", p.Lit),
            ("$receipt", (int)p.Receipt),
            ("$overdue", Seconds(p.Overdue)),
            ("$key", c.Key),
            ("$envelope", c.Envelope),
            ("$file", file)
        );
    }

    /// <summary>The row that names it comes next.</summary>
    private static void InsertBody(Statements statements, ReadOnlyMemory<byte> body) =>
        statements.Execute("INSERT INTO body(octets) VALUES($body)", ("$body", ArrayOf(body)));

    /// <summary>As SQLite takes it.</summary>
    private static byte[] ArrayOf(ReadOnlyMemory<byte> octets) =>
        MemoryMarshal.TryGetArray(octets, out var whole) && whole.Array!.Length == octets.Length
            ? whole.Array
            : octets.ToArray();

    // An administrator's hold that came while the attempt ran stays: Held is above Queued.
    private static void Update(Statements statements, Parcel p) =>
        statements.Execute(
            "UPDATE parcel SET state = MAX(state, $state), next = $next, attempts = $attempts, done = $done, status = "
                + "$status, delayed = $delayed, refusals = $refusals, refused_since = $since, server = $server "
                + "WHERE id = $id AND state <> $handed",
            ("$id", p.Id),
            ("$state", (int)p.State),
            ("$next", p.Next.ToUnixTimeSeconds()),
            ("$attempts", p.Attempts),
            ("$done", WriteDone(p.Done)),
            ("$status", p.Status),
            ("$delayed", p.Delayed ? 1 : 0),
            ("$refusals", p.Refusals),
            ("$since", Seconds(p.RefusedSince)),
            ("$server", p.Server),
            ("$handed", (int)ParcelState.Handed)
        );

    private static int Is(Parcel parcel, Leaving leaving) => parcel.Leaving == leaving ? 1 : 0;

    private static string WriteDone(IReadOnlySet<int> done) => string.Join(',', done.Order());
}
