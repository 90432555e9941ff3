/**
 * The characters that must not be shown as they are: with them, a peer could move the cursor of a terminal, start a line, or
 * disguise a name.
 *
 * @module
 */

/**
 * Runs of control characters (Cc), format characters (Cf), line and paragraph separators (Zl, Zp), and what fonts leave out
 * (Default_Ignorable_Code_Point). Source: Unicode Standard Annex #44, General_Category and derived properties.
 */
export const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]+/gu;
