namespace PgpTunnel;

/// <summary>A spool has one gateway: a lock beside it, held while that runs.</summary>
internal static class SpoolLock
{
    /// <summary>EWOULDBLOCK: the lock is another's. A read-only or failing disk says something else.</summary>
    private const int WouldBlock = 11;

    /// <returns>Holds the spool until it is disposed.</returns>
    /// <exception cref="SpoolException">Another gateway holds it.</exception>
    /// <exception cref="IOException">The lock cannot be written.</exception>
    public static FileStream Take(string spool)
    {
        try
        {
            return KeepOwner(
                new FileStream(FileOf(spool), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None)
            );
        }
        catch (IOException e) when (e.HResult == WouldBlock)
        {
            throw new SpoolException($"spool {spool} is in use by another running gateway ({e.Message})", false, e);
        }
    }

    private static FileStream KeepOwner(FileStream held)
    {
        try
        {
            OwnFiles.KeepOwner(held.Name, Path.GetDirectoryName(held.Name)!);
            return held;
        }
        catch
        {
            held.Dispose();
            throw;
        }
    }

    /// <summary>True when a gateway holds this spool.</summary>
    public static bool IsHeld(string spool)
    {
        try
        {
            if (File.Exists(FileOf(spool)))
                using (new FileStream(FileOf(spool), FileMode.Open, FileAccess.Read, FileShare.None))
                    return false;
            return false;
        }
        catch (IOException e) when (e.HResult == WouldBlock)
        {
            return true;
        }
    }

    private static string FileOf(string spool) => $"{spool}.lock";
}
