using PgpTunnel.OpenPgp;

namespace PgpTunnel.Interop;

/// <summary>What is inside the parcels that A sends.</summary>
internal sealed partial class Lab
{
    /// <summary>The messages inside the parcels that reached the relay.</summary>
    /// <param name="damaged">Whether parcels may be among them that do not open; else one throws.</param>
    public IReadOnlyList<string> OpenRelayed(bool damaged = false) =>
        [
            .. OpenParcels(damaged)
                .Where(p => p.Header.Kind == ParcelKind.Message)
                .Select(p => System.Text.Encoding.ASCII.GetString(p.Message.Span)),
        ];

    /// <summary>The receipts for B that reached the relay.</summary>
    public IReadOnlyList<Evidence.LogTail> Receipts() =>
        [
            .. OpenParcels(damaged: false)
                .Where(p => p.Header.Kind == ParcelKind.Receipt)
                .Select(p => Evidence.LogTail.Read(p.Message[Parcels.ReceiptFields.Length..])),
        ];

    private IReadOnlyList<(InnerHeader Header, ReadOnlyMemory<byte> Message)> OpenParcels(bool damaged)
    {
        var keys = KeyRing.Load(ConfigurationReader.Read(Path.Combine(Directory, "b", "pgptunnel.json"))).Keys;
        return
        [
            .. Relayed.Where(s => s.To[0].Mailbox.Domain == "pgptunnel.b.example").SelectMany(s => Open(s.Message)),
        ];

        IReadOnlyList<(InnerHeader, ReadOnlyMemory<byte>)> Open(byte[] message)
        {
            try
            {
                return
                [
                    ParcelBody.Read(
                        MessageOpener.Decrypt(Armor.Decode(Armor.Message, message), keys).UnverifiedBody,
                        ours: false
                    ),
                ];
            }
            catch (OpenPgpException) when (damaged)
            {
                return [];
            }
        }
    }
}
