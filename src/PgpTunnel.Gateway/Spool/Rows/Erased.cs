using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>The indexes of records in one log whose private parts are to go for good.</summary>
internal sealed record Erased(LogOrigin Log, IReadOnlyList<long> Indexes);
