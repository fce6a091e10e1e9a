//! SHA-256 and Ed25519 for native.c, from zig's own library: nothing has to be installed.
const std = @import("std");
const Ed25519 = std.crypto.sign.Ed25519;

export fn sha256(bytes: [*]const u8, length: usize, out: *[32]u8) void {
    std.crypto.hash.sha2.Sha256.hash(bytes[0..length], out, .{});
}

/// 1 when the signature is that of the key over the message.
export fn ed25519_verify(signature: *const [64]u8, message: [*]const u8, length: usize, key: *const [32]u8) c_int {
    const public = Ed25519.PublicKey.fromBytes(key.*) catch return 0;
    Ed25519.Signature.fromBytes(signature.*).verify(message[0..length], public) catch return 0;
    return 1;
}
