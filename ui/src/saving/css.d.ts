// A style as a text: the strict policy of the page allows no style elements, but sheets that a script makes.
declare module '*.css' {
  const text: string;
  export default text;
}
